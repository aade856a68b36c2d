//! Semantic versions: `semver`, `semverCompare`, and the methods of what `semver` gives.

use std::cmp::Ordering;

use super::arguments::{NIL_DEREFERENCE, text};
use super::{Call, Failure, Function, Type};
use crate::semver::{Constraints, Error, Version};
use crate::value::{Kind, Member, Method, Object, Str, Value};

const STR: Type = Type::String;
const POINTER: &str = "*semver.Version";
const VERSION: Type = Type::Object(POINTER);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("semver", &[STR], |_, a| Ok(Value::object(Held { version: version(a, 0)?, pointer: true }))),
    Function::new("semverCompare", &[STR, STR], compare),
];

/// A version behind a pointer, or as its methods return changed ones.
struct Held {
    version: Version,
    pointer: bool,
}

fn failed(error: Error) -> Failure {
    Failure::message(error.to_string())
}

fn version(a: &[Value], at: usize) -> Result<Version, Failure> {
    Version::parse(&String::from_utf8_lossy(text(a, at))).map_err(failed)
}

fn compare(_: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let constraints = Constraints::parse(&String::from_utf8_lossy(text(a, 0))).map_err(failed)?;
    Ok(constraints.check(&version(a, 1)?).into())
}

const fn method(name: &'static str, params: &'static [Type]) -> Method {
    Method { name, params, variadic: None }
}

const METHODS: &[Method] = &[
    method("Compare", &[VERSION]),
    method("Equal", &[VERSION]),
    method("GreaterThan", &[VERSION]),
    method("GreaterThanEqual", &[VERSION]),
    method("IncMajor", &[]),
    method("IncMinor", &[]),
    method("IncPatch", &[]),
    method("LessThan", &[VERSION]),
    method("LessThanEqual", &[VERSION]),
    method("Major", &[]),
    method("MarshalJSON", &[]),
    method("MarshalText", &[]),
    method("Metadata", &[]),
    method("Minor", &[]),
    method("Original", &[]),
    method("Patch", &[]),
    method("Prerelease", &[]),
    method("SetMetadata", &[STR]),
    method("SetPrerelease", &[STR]),
    method("String", &[]),
    method("Value", &[]),
];

impl Held {
    fn order(&self, args: &[Value]) -> Result<Ordering, Failure> {
        let other = args.first().and_then(|value| value.downcast::<Self>());
        other.map(|other| self.version.cmp(&other.version)).ok_or_else(|| Failure::message(NIL_DEREFERENCE))
    }
}

impl Object for Held {
    fn type_name(&self) -> &str {
        if self.pointer { POINTER } else { "semver.Version" }
    }

    fn kind(&self) -> Kind {
        if self.pointer { Kind::Ptr } else { Kind::Struct }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let version = &self.version;
        vec![
            ("major", Value::Uint64(version.major())),
            ("minor", Value::Uint64(version.minor())),
            ("patch", Value::Uint64(version.patch())),
            ("pre", version.prerelease().into()),
            ("metadata", version.metadata().into()),
            ("original", version.original().into()),
        ]
    }

    fn deep_copy(&self) -> Option<Value> {
        // No field is exported, so nothing of it is copied.
        Some(Value::object(Self { version: Version::default(), pointer: self.pointer }))
    }

    fn member(&self, name: &str) -> Option<Member> {
        METHODS.iter().find(|method| method.name == name).map(|method| Member::Method(*method))
    }

    fn invoke(&self, method: &str, args: &[Value]) -> Result<Value, Failure> {
        let version = &self.version;
        let plain = |changed: Result<Version, Error>| {
            changed.map(|version| Value::object(Self { version, pointer: false })).map_err(failed)
        };
        let given = || String::from_utf8_lossy(text(args, 0)).into_owned();
        Ok(match method {
            "Major" => Value::Uint64(version.major()),
            "Minor" => Value::Uint64(version.minor()),
            "Patch" => Value::Uint64(version.patch()),
            "Prerelease" => version.prerelease().into(),
            "Metadata" => version.metadata().into(),
            "Original" => version.original().into(),
            "String" | "Value" => version.to_string().into(),
            "MarshalText" => Value::Bytes(version.to_string().into()),
            "MarshalJSON" => Value::Bytes(format!("\"{version}\"").into()),
            "Compare" => Value::Int(self.order(args)? as i64),
            "Equal" => self.order(args)?.is_eq().into(),
            "GreaterThan" => self.order(args)?.is_gt().into(),
            "GreaterThanEqual" => self.order(args)?.is_ge().into(),
            "LessThan" => self.order(args)?.is_lt().into(),
            "LessThanEqual" => self.order(args)?.is_le().into(),
            "IncMajor" => plain(version.inc_major())?,
            "IncMinor" => plain(version.inc_minor())?,
            "IncPatch" => plain(version.inc_patch())?,
            "SetMetadata" => plain(version.set_metadata(&given()))?,
            "SetPrerelease" => plain(version.set_prerelease(&given()))?,
            _ => return Err(Failure::message(format!("{} has no method {method}", self.type_name()))),
        })
    }

    fn string(&self) -> Option<Str> {
        Some(self.version.to_string().into())
    }

    fn json(&self) -> Option<Result<serde_json::Value, String>> {
        Some(Ok(self.version.to_string().into()))
    }

    fn equal(&self, other: &dyn Object) -> bool {
        let other = (other as &dyn std::any::Any).downcast_ref::<Self>();
        other.is_some_and(|other| {
            self.version.cmp(&other.version).is_eq()
                && self.version.metadata() == other.version.metadata()
                && self.version.original() == other.version.original()
        })
    }
}
