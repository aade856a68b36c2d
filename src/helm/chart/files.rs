//! A chart's other files as templates see them: `.Files`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Chart, File, glob};
use crate::functions::{Failure, Type};
use crate::value::{Kind, List, ListType, Map, MapType, Member, Method, Object, Str, Value};
use crate::yaml;

/// The files of a chart, or those that a pattern picked: Go's `engine.files`, a `map[string][]byte` with methods.
pub struct Files {
    chart: Arc<Chart>,
    /// Which of the chart's files these are, in byte order of their names; of equal names the last is meant.
    picked: Vec<usize>,
}

const METHODS: &[Method] = &[
    Method { name: "Get", params: &[Type::String], variadic: None },
    Method { name: "GetBytes", params: &[Type::String], variadic: None },
    Method { name: "Glob", params: &[Type::String], variadic: None },
    Method { name: "AsConfig", params: &[], variadic: None },
    Method { name: "AsSecrets", params: &[], variadic: None },
    Method { name: "Lines", params: &[Type::String], variadic: None },
];

impl Files {
    pub fn new(chart: &Arc<Chart>) -> Self {
        let files = chart.files();
        let mut picked: Vec<usize> = (0..files.len()).collect();
        picked.sort_by(|a, b| files[*a].name.cmp(&files[*b].name));
        picked.dedup_by(|later, earlier| {
            let equal = files[*later].name == files[*earlier].name;
            if equal {
                *earlier = *later;
            }
            equal
        });
        Self { chart: chart.clone(), picked }
    }

    fn iter(&self) -> impl Iterator<Item = &File> {
        self.picked.iter().map(|index| &self.chart.files()[*index])
    }

    fn get(&self, name: &[u8]) -> Option<&Str> {
        let files = self.chart.files();
        let at = self.picked.binary_search_by(|index| files[*index].name.as_bytes().cmp(name)).ok()?;
        Some(&files[self.picked[at]].data)
    }

    /// Keeps what a pattern matches; one that cannot be read matches all.
    fn glob(&self, pattern: &str) -> Self {
        let regex = glob::compile(pattern);
        let matches = |index: &usize| regex.as_ref().is_none_or(|r| r.is_match(&self.chart.files()[*index].name));
        Self { chart: self.chart.clone(), picked: self.picked.iter().copied().filter(matches).collect() }
    }

    /// Makes a YAML map of base names and contents.
    fn as_yaml(&self, content: impl Fn(&Str) -> Str) -> Result<Value, Failure> {
        let base = |name: &str| Str::from(name.rsplit('/').next().unwrap_or(name));
        let map = Value::map(self.iter().map(|file| (base(&file.name), Value::Str(content(&file.data)))));
        let mut text = Vec::new();
        match yaml::emit(&map.to_json()?, 0, &mut text) {
            Ok(()) => {}
            Err(error @ yaml::Error::Limit(_)) => return Err(Failure::limit(error.to_string())),
            // Helm's toYaml hides an error as an empty text.
            Err(_) => text.clear(),
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        Ok(Value::from(text))
    }

    fn lines(&self, name: &[u8]) -> Value {
        let Some(data) = self.get(name).filter(|data| !data.is_empty()) else {
            return Value::List(List::new(ListType::Str, Vec::new()));
        };
        let data = data.strip_suffix(b"\n").unwrap_or(data);
        Value::strings(data.split(|b| *b == b'\n'))
    }
}

impl Object for Files {
    fn type_name(&self) -> &'static str {
        "engine.files"
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn member(&self, name: &str) -> Option<Member> {
        match METHODS.iter().find(|method| method.name == name) {
            Some(method) => Some(Member::Method(*method)),
            // As of any map, a key that is not there gives the zero of the element type.
            None => Some(Member::Field(Value::Bytes(self.get(name.as_bytes()).cloned().unwrap_or_default()))),
        }
    }

    fn invoke(&self, method: &str, args: &[Value]) -> Result<Value, Failure> {
        let name = args.first().and_then(Value::as_str).cloned().unwrap_or_default();
        Ok(match method {
            "Get" => Value::Str(self.get(&name).cloned().unwrap_or_default()),
            "GetBytes" => Value::Bytes(self.get(&name).cloned().unwrap_or_default()),
            "Glob" => Value::object(self.glob(&name.to_text())),
            "AsConfig" => self.as_yaml(Str::clone)?,
            "AsSecrets" => self.as_yaml(|data| STANDARD.encode(data).into())?,
            "Lines" => self.lines(&name),
            other => return Err(Failure::message(format!("engine.files has no method {other}"))),
        })
    }

    fn underlying(&self) -> Option<Value> {
        let pairs = self.iter().map(|file| (Str::from(file.name.as_str()), Value::Bytes(file.data.clone())));
        Some(Value::Map(Map::from_pairs(MapType::Any, pairs)))
    }

    fn equal(&self, other: &dyn Object) -> bool {
        let other = (other as &dyn std::any::Any).downcast_ref::<Self>();
        other.is_some_and(|other| Arc::ptr_eq(&self.chart, &other.chart) && self.picked == other.picked)
    }
}
