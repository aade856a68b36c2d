//! The custom resource definitions against the files in crds/ and against Flux's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use bowline::{api, cli::crds::files};
use helm::yaml;
use serde_json::Value;

fn packs() -> PathBuf {
    PathBuf::from(std::env::var_os("BOWLINE_PACKS").expect("BOWLINE_PACKS names the folder of the case packs"))
}

/// The definitions by name, as JSON.
fn ours() -> BTreeMap<String, Value> {
    api::crds().iter().map(|crd| (crd.metadata.name.clone().unwrap(), serde_json::to_value(crd).unwrap())).collect()
}

fn fluxs(name: &str) -> Value {
    let (plural, group) = name.split_once('.').unwrap();
    let path = packs().join(format!("flux-pack/crds/{group}_{plural}.yaml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::parse(text.as_bytes()).unwrap()
}

/// Every keyword of a schema by its path, descriptions left out; `enum` and `required` are sets.
fn keywords(schema: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    let Some(schema) = schema.as_object() else {
        found.insert(path.to_owned(), schema.to_string());
        return;
    };
    for (keyword, value) in schema {
        let here = format!("{path}/{keyword}");
        match keyword.as_str() {
            "description" => {}
            "properties" => {
                for (name, property) in value.as_object().unwrap() {
                    keywords(property, &format!("{path}.{name}"), found);
                }
            }
            "items" => keywords(value, &format!("{path}[]"), found),
            "additionalProperties" => keywords(value, &format!("{path}{{}}"), found),
            "enum" | "required" => {
                let set: BTreeSet<String> = value.as_array().unwrap().iter().map(Value::to_string).collect();
                found.insert(here, format!("{set:?}"));
            }
            "minimum" | "maximum" => {
                found.insert(here, value.as_f64().unwrap().to_string());
            }
            _ => {
                found.insert(here, value.to_string());
            }
        }
    }
    if schema.is_empty() {
        found.insert(path.to_owned(), "{}".to_owned());
    }
}

fn differences(what: &str, ours: &BTreeMap<String, String>, fluxs: &BTreeMap<String, String>) -> Vec<String> {
    let paths: BTreeSet<_> = ours.keys().chain(fluxs.keys()).collect();
    paths
        .into_iter()
        .filter(|path| ours.get(*path) != fluxs.get(*path))
        .map(|path| {
            let show =
                |side: &BTreeMap<String, String>| side.get(path).cloned().unwrap_or_else(|| "nothing".to_owned());
            format!("{what} {path}: ours {}, Flux's {}", show(ours), show(fluxs))
        })
        .collect()
}

fn flat(schema: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    keywords(schema, "", &mut found);
    found
}

/// What a definition says beside its schemas.
fn frame(crd: &Value) -> BTreeMap<String, String> {
    let mut crd = crd.clone();
    if let Some(annotations) = crd.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| key != "controller-gen.kubebuilder.io/version");
    }
    if crd.pointer("/metadata/annotations") == Some(&serde_json::json!({})) {
        crd["metadata"].as_object_mut().unwrap().remove("annotations");
    }
    if let Some(categories) = crd.pointer_mut("/spec/names/categories").and_then(Value::as_array_mut) {
        categories.sort_by_key(Value::to_string);
    }
    let names = crd["spec"]["names"].as_object_mut().unwrap();
    names.retain(|key, value| !(key == "shortNames" && value.as_array().is_some_and(Vec::is_empty)));
    crd["spec"].as_object_mut().unwrap().remove("versions");
    flat(&crd)
}

fn version_frame(version: &Value) -> BTreeMap<String, String> {
    let mut version = version.clone();
    let version = version.as_object_mut().unwrap();
    for field in ["name", "storage", "schema"] {
        version.remove(field);
    }
    version.retain(|key, value| !(key == "selectableFields" && value.as_array().is_some_and(Vec::is_empty)));
    flat(&Value::Object(version.clone()))
}

#[test]
#[ignore = "needs BOWLINE_PACKS"]
fn every_schema_says_what_fluxs_says() {
    let mut all = Vec::new();
    for (name, ours) in ours() {
        let fluxs = fluxs(&name);
        all.extend(differences(&name, &frame(&ours), &frame(&fluxs)));
        let theirs = &fluxs["spec"]["versions"][0];
        for version in ours["spec"]["versions"].as_array().unwrap() {
            let what = format!("{name} {}", version["name"]);
            all.extend(differences(&what, &version_frame(version), &version_frame(theirs)));
            let root = |version: &Value| flat(&version["schema"]["openAPIV3Schema"]);
            all.extend(differences(&what, &root(version), &root(theirs)));
        }
    }
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}

#[test]
#[ignore = "needs BOWLINE_PACKS"]
fn descriptions_are_our_own() {
    fn collect(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(text)) = fields.get("description") {
                    found.insert(text.split_whitespace().collect::<Vec<_>>().join(" "));
                }
                fields.values().for_each(|field| collect(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    for (name, ours) in ours() {
        let (mut own, mut theirs) = (BTreeSet::new(), BTreeSet::new());
        collect(&ours, &mut own);
        collect(&fluxs(&name), &mut theirs);
        let same: Vec<_> = own.intersection(&theirs).collect();
        assert!(same.is_empty(), "{name}: {same:?}");
    }
}

#[test]
fn each_definition_stores_one_version_and_image_kinds_serve_the_legacy_one_too() {
    for (name, crd) in ours() {
        let versions: Vec<_> = crd["spec"]["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| (version["name"].as_str().unwrap(), version["served"] == true, version["storage"] == true))
            .collect();
        match name.split_once('.').unwrap().1 {
            "helm.toolkit.fluxcd.io" => assert_eq!(versions, [("v2", true, true)], "{name}"),
            "image.toolkit.fluxcd.io" => {
                assert_eq!(versions, [("v1", true, true), ("v1beta2", true, false)], "{name}");
            }
            _ => assert_eq!(versions, [("v1", true, true)], "{name}"),
        }
    }
}

#[test]
fn every_field_is_described() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let here = format!("{path}.{name}");
            if property["description"].as_str().is_none_or(|text| !text.ends_with('.')) {
                found.push(here.clone());
            }
            undescribed(property, &here, found);
        }
        if schema["items"].is_object() {
            undescribed(&schema["items"], &format!("{path}[]"), found);
        }
    }
    for (name, crd) in ours() {
        let mut found = Vec::new();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            undescribed(&schema["properties"][part], part, &mut found);
        }
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn the_files_are_what_the_types_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let made: BTreeMap<String, Vec<u8>> = files().unwrap().into_iter().map(|file| (file.name, file.text)).collect();
    let found: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, made.keys().cloned().collect());
    for (name, text) in made {
        let written = fs::read(folder.join(&name)).unwrap();
        assert!(written == text, "crds/{name} is not what `bowline crds crds` writes");
    }
}
