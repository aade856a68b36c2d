//! `.Capabilities` as templates see it: Go's structs with their methods.

use super::capabilities::{Capabilities, KubeVersion};
use crate::functions::{Failure, Type};
use crate::value::{Kind, Member, Method, Object, Str, Value};

/// Makes the value of `.Capabilities`.
pub fn value(capabilities: &Capabilities) -> Value {
    Value::object(Pointer(capabilities.clone()))
}

fn text(s: &str) -> Value {
    Value::from(s)
}

fn unknown(object: &dyn Object, method: &str) -> Failure {
    Failure::message(format!("{} has no method {method}", object.type_name()))
}

/// `*common.Capabilities`
struct Pointer(Capabilities);

impl Object for Pointer {
    fn type_name(&self) -> &'static str {
        "*common.Capabilities"
    }

    fn kind(&self) -> Kind {
        Kind::Ptr
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("KubeVersion", Value::object(Version { version: self.0.kube_version.clone(), addressable: true })),
            ("APIVersions", Value::object(VersionSet(self.0.clone()))),
            ("HelmVersion", Value::object(BuildInfo)),
        ]
    }

    fn deep_copy(&self) -> Option<Value> {
        Some(Value::object(Self(Capabilities { kube_version: exported(&self.0.kube_version), ..self.0.clone() })))
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other, |a, b| a.0 == b.0)
    }
}

/// `common.KubeVersion`, whose methods only its pointer has: they are found on the field, not on a copy of it.
struct Version {
    version: KubeVersion,
    addressable: bool,
}

/// A version without the field that is not exported.
fn exported(version: &KubeVersion) -> KubeVersion {
    KubeVersion { normalized: String::new(), ..version.clone() }
}

impl Object for Version {
    fn type_name(&self) -> &'static str {
        "common.KubeVersion"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        // Printing shows the field that is not exported, too.
        vec![
            ("Version", text(&self.version.version)),
            ("normalizedVersion", text(&self.version.normalized)),
            ("Major", text(&self.version.major)),
            ("Minor", text(&self.version.minor)),
        ]
    }

    fn member(&self, name: &str) -> Option<Member> {
        Some(match name {
            "Version" => Member::Field(text(&self.version.version)),
            "Major" => Member::Field(text(&self.version.major)),
            "Minor" => Member::Field(text(&self.version.minor)),
            _ if !self.addressable => return None,
            "String" => Member::Method(Method { name: "String", params: &[], variadic: None }),
            "GitVersion" => Member::Method(Method { name: "GitVersion", params: &[], variadic: None }),
            _ => return None,
        })
    }

    fn invoke(&self, method: &str, _args: &[Value]) -> Result<Value, Failure> {
        match method {
            "String" => Ok(text(self.version.comparable())),
            "GitVersion" => Ok(text(&self.version.version)),
            other => Err(unknown(self, other)),
        }
    }

    fn string(&self) -> Option<Str> {
        None
    }

    fn addressed_string(&self) -> Option<Str> {
        self.addressable.then(|| self.version.comparable().into())
    }

    fn as_argument(&self) -> Option<Value> {
        self.addressable.then(|| Value::object(Self { version: self.version.clone(), addressable: false }))
    }

    fn deep_copy(&self) -> Option<Value> {
        Some(Value::object(Self { version: exported(&self.version), addressable: false }))
    }

    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        let KubeVersion { version, normalized: _, major, minor } = &self.version;
        vec![("Version", text(version)), ("Major", text(major)), ("Minor", text(minor))]
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other, |a, b| a.version == b.version)
    }
}

/// `common.VersionSet`
struct VersionSet(Capabilities);

impl Object for VersionSet {
    fn type_name(&self) -> &'static str {
        "common.VersionSet"
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn member(&self, name: &str) -> Option<Member> {
        let has = Method { name: "Has", params: &[Type::String], variadic: None };
        (name == "Has").then_some(Member::Method(has))
    }

    fn invoke(&self, method: &str, args: &[Value]) -> Result<Value, Failure> {
        match (method, args) {
            ("Has", [Value::Str(wanted)]) => {
                Ok(Value::Bool(self.0.api_versions.iter().any(|version| version.as_bytes() == &**wanted)))
            }
            (other, _) => Err(unknown(self, other)),
        }
    }

    fn underlying(&self) -> Option<Value> {
        Some(Value::strings(self.0.api_versions.iter().map(String::as_str)))
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other, |a, b| a.0.api_versions == b.0.api_versions)
    }
}

/// `version.BuildInfo`: the Helm whose output this engine's is.
struct BuildInfo;

const VERSION: &str = "v4.3.1";
const GIT_COMMIT: &str = "c0d08d0d6d9424d4a14febb5e8a3e51b0dd00dff";
const GIT_TREE_STATE: &str = "clean";
const GO_VERSION: &str = "go1.27.2";
const KUBE_CLIENT_VERSION: &str = "v1.37";

impl Object for BuildInfo {
    fn type_name(&self) -> &'static str {
        "version.BuildInfo"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", text(VERSION)),
            ("GitCommit", text(GIT_COMMIT)),
            ("GitTreeState", text(GIT_TREE_STATE)),
            ("GoVersion", text(GO_VERSION)),
            ("KubeClientVersion", text(KUBE_CLIENT_VERSION)),
        ]
    }

    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("version", text(VERSION)),
            ("git_commit", text(GIT_COMMIT)),
            ("git_tree_state", text(GIT_TREE_STATE)),
            ("go_version", text(GO_VERSION)),
            ("kube_client_version", text(KUBE_CLIENT_VERSION)),
        ]
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other, |_, _| true)
    }
}

fn same<T: Object>(a: &T, b: &dyn Object, equal: impl Fn(&T, &T) -> bool) -> bool {
    (b as &dyn std::any::Any).downcast_ref::<T>().is_some_and(|b| equal(a, b))
}
