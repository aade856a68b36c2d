//! Reading a row's maps so that no key is passed over, and making objects of what they hold.

use std::sync::LazyLock;

use bowline::{
    api::{self, HelmRelease, HelmReleaseStatus, Snapshot, helm_release::TestHookStatus},
    reconcile::release::decide::Desired,
};
use helm::schema::Compiled;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// One side of a row, of which every key is taken once.
pub struct Fields {
    left: Map<String, Value>,
    elsewhere: Vec<&'static str>,
}

impl Fields {
    pub fn new(fields: Map<String, Value>) -> Self {
        Self { left: fields, elsewhere: Vec::new() }
    }

    /// Takes a key that may not be there.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(value) = self.left.remove(key) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| format!("{key}: {error}"))
    }

    /// Takes a key that is there.
    pub fn need<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, String> {
        self.get(key)?.ok_or_else(|| format!("{key} is missing"))
    }

    /// Takes a key that may be null or missing.
    pub fn given<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        Ok(self.get::<Option<T>>(key)?.flatten())
    }

    /// Takes a key, if it is there, and holds it against what is.
    pub fn holds<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        &mut self,
        key: &str,
        is: &T,
    ) -> Result<(), String> {
        match self.get::<T>(key)? {
            Some(expected) => same(key, is, &expected),
            None => Ok(()),
        }
    }

    /// Takes a key where it is of a type, and leaves it where it is of another.
    pub fn get_if<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = serde_json::from_value(self.left.get(key)?.clone()).ok()?;
        self.left.remove(key);
        Some(value)
    }

    /// Tells whether a key is there and an empty list.
    pub fn has_empty(&self, key: &str) -> bool {
        self.left.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    pub fn left(&self) -> impl Iterator<Item = &String> {
        self.left.keys()
    }

    /// Tells whether a key is there, and leaves it.
    pub fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Leaves a key to other tests, and says why.
    pub fn elsewhere(&mut self, key: &str, reason: &'static str) {
        self.elsewhere.extend(self.left.remove(key).map(|_| reason));
    }

    /// Why keys were left to other tests.
    pub fn reasons(self) -> Vec<&'static str> {
        self.elsewhere
    }
}

/// Compares what is with what is expected.
pub fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, is: &T, expected: &T) -> Result<(), String> {
    if is == expected { Ok(()) } else { Err(format!("{what}: is {is:?}, expected {expected:?}")) }
}

/// Returns a condition as an error.
pub fn check(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

/// The schema of a `HelmRelease` as the API serves it.
pub fn crd_schema() -> Value {
    let crd = api::crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "HelmRelease")
        .map(|crd| serde_json::to_value(&crd.spec.versions[0].schema).unwrap());
    crd.unwrap()["openAPIV3Schema"].clone()
}

/// Part of an object: all of its keys must be known, none is needed, and texts may be anything.
fn partial(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let mut of = Map::new();
    for (keyword, value) in fields {
        match keyword.as_str() {
            "type" => drop(of.insert(keyword.clone(), json!([value, "null"]))),
            "properties" => {
                let properties = value.as_object().unwrap();
                let properties: Map<_, _> = properties.iter().map(|(k, v)| (k.clone(), partial(v))).collect();
                of.insert(keyword.clone(), Value::Object(properties));
                of.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            "items" | "additionalProperties" => drop(of.insert(keyword.clone(), partial(value))),
            _ => {}
        }
    }
    Value::Object(of)
}

static PARTIAL: LazyLock<Compiled> =
    LazyLock::new(|| Compiled::new(&serde_json::to_vec(&partial(&crd_schema())).unwrap()));

fn known(part: &Value) -> Result<(), String> {
    PARTIAL.check(part)
}

/// Makes a HelmRelease of parts of a spec and of metadata.
pub fn object(namespace: &str, name: &str, spec: &Value) -> Result<HelmRelease, String> {
    known(&json!({ "spec": spec }))?;
    let mut whole = json!({ "interval": "5m" });
    json_patch::merge(&mut whole, spec);
    let spec = serde_json::from_value(whole).map_err(|error| format!("spec: {error}"))?;
    let mut object = HelmRelease::new(name, spec);
    object.metadata.namespace = Some(namespace.to_owned());
    Ok(object)
}

/// Makes a status of parts of one.
pub fn status(part: &Value) -> Result<HelmReleaseStatus, String> {
    known(&json!({ "status": part }))?;
    serde_json::from_value(part.clone()).map_err(|error| format!("status: {error}"))
}

/// Makes a snapshot of parts of one; fields that are not given are the release's.
pub fn snapshot(part: &Value) -> Result<Snapshot, String> {
    known(&json!({ "status": { "history": [part] } }))?;
    let whole = Snapshot { name: "app".into(), namespace: "ns".into(), ..Snapshot::default() };
    let mut whole = serde_json::to_value(whole).unwrap();
    json_patch::merge(&mut whole, part);
    serde_json::from_value(whole).map_err(|error| format!("snapshot: {error}"))
}

/// Reads a snapshot as rows write it: `v<N> <status>`, then `test <phase>`.
pub fn snapshot_text(text: &str) -> Result<Snapshot, String> {
    let words: Vec<&str> = text.split(' ').collect();
    let (version, status, phase) = match words[..] {
        [version, status] => (version, status, None),
        [version, status, "test", phase] => (version, status, Some(phase)),
        _ => return Err(format!("release '{text}' is not understood")),
    };
    let version = version.strip_prefix('v').and_then(|v| v.parse().ok()).ok_or_else(|| format!("'{text}'"))?;
    let hook = |phase: &str| TestHookStatus { phase: Some(phase.to_owned()), ..TestHookStatus::default() };
    Ok(Snapshot {
        name: "app".into(),
        namespace: "ns".into(),
        version,
        status: status.to_owned(),
        test_hooks: phase.map(|phase| [("t".to_owned(), hook(phase))].into()),
        ..Snapshot::default()
    })
}

/// Splits `name@version`.
pub fn chart(text: &str) -> Result<(String, String), String> {
    let (name, version) = text.split_once('@').ok_or_else(|| format!("chart '{text}' is not name@version"))?;
    Ok((name.to_owned(), version.to_owned()))
}

/// What a spec asks for, of a chart and values.
pub fn desired(name: &str, version: &str, values: &Map<String, Value>) -> Desired {
    Desired {
        chart_name: name.to_owned(),
        chart_version: version.to_owned(),
        config_digest: bowline::reconcile::release::values::digest(values),
        ..Desired::default()
    }
}
