//! What the schema of a `HelmRelease` accepts.

use helm::schema::Compiled;
use serde_json::{Value, json};

use super::fields::{Fields, crd_schema, same};

/// Holds one field's value against its schema.
pub fn validation(_: &str, input: &mut Fields, expect: &mut Fields) -> Result<(), String> {
    let path: String = input.need("field")?;
    let mut schema = crd_schema();
    for part in path.split('.') {
        let name = part.trim_end_matches("[]");
        schema = schema["properties"][name].clone();
        if part.ends_with("[]") {
            schema = schema["items"].clone();
        }
    }
    same("field is known", &schema.is_object(), &true)?;
    let value: Value = input.need("value")?;
    // An API server leaves an empty text of a field with omitempty out, as Go's clients do.
    let is_left_out = value == json!("");
    let is_accepted = is_left_out || Compiled::new(&serde_json::to_vec(&schema).unwrap()).check(&value).is_ok();
    same("accepted_by_api_server", &is_accepted, &expect.need("accepted_by_api_server")?)
}
