//! Helm's record of a release: what the Secrets `sh.helm.release.v1.NAME.vN` hold.
//!
//! Written as Helm 4.3.1 writes it; what Helm 3 wrote (empty texts for times that are not set, no `apply_method`) is read,
//! too. The chart inside stays as it was read, so that a record that is written again loses nothing of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::chart::dependencies::Node;
use crate::chart::metadata::ZERO_TIME;
use crate::chart::{File, Lock, Metadata};
use crate::hook::Hook;

/// The type of the Secrets that hold records.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";
/// The key of a Secret's data that holds the record.
pub const SECRET_KEY: &str = "release";
/// The labels that Helm sets itself.
pub const SYSTEM_LABELS: &[&str] = &["name", "owner", "status", "version", "createdAt", "modifiedAt"];
/// The largest record that is unpacked, in bytes. A Secret holds 1 MiB, of which gzip could make a thousand times more.
pub const MAX_RECORD_SIZE: u64 = 64 << 20;
/// The size of a packed record from which the best compression is tried, in bytes.
const LARGE_RECORD: usize = 700_000;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 8];

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("release record is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("release record cannot be unpacked")]
    Unpack(#[source] std::io::Error),
    #[error("release record is larger than {MAX_RECORD_SIZE} bytes")]
    TooLarge,
    #[error("release record is not what Helm writes")]
    Read(#[source] serde_json::Error),
    #[error("release record cannot be written")]
    Write(#[source] serde_json::Error),
    #[error("release record cannot be packed")]
    Pack(#[source] std::io::Error),
}

/// A release at one revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Release {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default)]
    pub info: Info,
    /// The chart as JSON, without the charts that it depends on.
    #[serde(default, with = "raw", skip_serializing_if = "Option::is_none")]
    pub chart: Option<Arc<RawValue>>,
    /// The values that the user gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// The rendered manifests, without hooks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// The revision, from 1.
    #[serde(default)]
    pub version: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// How it was applied: `ssa`, `csa`, or nothing, which is `csa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_method: Option<ApplyMethod>,
    /// The user's labels, which are the Secret's and no part of the record.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

/// How a release's objects were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplyMethod {
    #[serde(rename = "ssa")]
    ServerSide,
    #[serde(rename = "csa")]
    ClientSide,
}

/// What happened to a release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Info {
    #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
    pub first_deployed: Option<jiff::Zoned>,
    #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
    pub last_deployed: Option<jiff::Zoned>,
    #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
    pub deleted: Option<jiff::Zoned>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub status: Status,
    /// The revision that a rollback went to, 0 for what is no rollback.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollback_revision: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives the field by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The state of a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Deployed,
    Uninstalled,
    Superseded,
    Failed,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
    /// Also what a newer Helm may write.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Returns Helm's name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Says whether an action is under way.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback)
    }
}

/// Reads null as nothing.
pub(crate) fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// JSON that copies of a record share.
mod raw {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::value::RawValue;

    #[expect(clippy::ref_option, reason = "serde gives the field by reference")]
    pub fn serialize<S: Serializer>(raw: &Option<Arc<RawValue>>, serializer: S) -> Result<S::Ok, S::Error> {
        raw.as_deref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<RawValue>>, D::Error> {
        Ok(Option::<Box<RawValue>>::deserialize(deserializer)?.map(Arc::from))
    }
}

/// Go's times in JSON: RFC 3339 with the offset they were written with; an empty text or year 1 is no time.
pub(crate) mod time {
    use jiff::Zoned;
    use jiff::tz::{Offset, TimeZone};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde gives the field by reference")]
    pub fn serialize<S: Serializer>(time: &Option<Zoned>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_str(&text(time)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zoned>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) if !text.is_empty() => parse(&text).map_err(D::Error::custom),
            _ => Ok(None),
        }
    }

    /// Writes a time as Go's `RFC3339Nano`.
    pub fn text(time: &Zoned) -> String {
        let offset = time.offset();
        if offset == Offset::UTC {
            return time.timestamp().to_string();
        }
        let seconds = offset.seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        format!("{}{sign}{:02}:{:02}", time.datetime(), minutes / 60, minutes % 60)
    }

    fn parse(text: &str) -> Result<Option<Zoned>, jiff::Error> {
        let timestamp: jiff::Timestamp = text.parse()?;
        let pieces = jiff::fmt::temporal::Pieces::parse(text)?;
        let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
        let time = timestamp.to_zoned(TimeZone::fixed(offset));
        Ok((time.year() > 1).then_some(time))
    }
}

impl Release {
    /// Returns the name of the Secret that holds a revision.
    pub fn secret_name(name: &str, version: i64) -> String {
        format!("sh.helm.release.v1.{name}.v{version}")
    }

    /// Returns the labels of the Secret, without `createdAt` and `modifiedAt`.
    pub fn secret_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        for (key, value) in [
            ("name", self.name.clone()),
            ("owner", "helm".to_string()),
            ("status", self.info.status.as_str().to_string()),
            ("version", self.version.to_string()),
        ] {
            labels.insert(key.to_string(), value);
        }
        labels
    }

    /// Takes the user's labels from those of a Secret.
    pub fn set_labels(&mut self, labels: impl IntoIterator<Item = (String, String)>) {
        self.labels = labels.into_iter().filter(|(key, _)| !SYSTEM_LABELS.contains(&key.as_str())).collect();
    }

    /// Reads the content of a Secret's key, which is base64 of gzipped JSON beneath the Secret's own base64.
    pub fn decode(data: &[u8]) -> Result<Self, Error> {
        let packed = STANDARD.decode(data.trim_ascii()).map_err(Error::Base64)?;
        let json = if packed.starts_with(GZIP_MAGIC) { unpack(&packed, MAX_RECORD_SIZE)? } else { packed };
        serde_json::from_slice(&json).map_err(Error::Read)
    }

    /// Writes the content of a Secret's key.
    pub fn encode(&self) -> Result<String, Error> {
        let json = serde_json::to_vec(self).map_err(Error::Write)?;
        let mut packed = pack(&json, Compression::default())?;
        if packed.len() > LARGE_RECORD {
            packed = pack(&json, Compression::best())?;
        }
        Ok(STANDARD.encode(packed))
    }

    /// Reads the chart's metadata out of the record.
    pub fn chart_metadata(&self) -> Result<Metadata, Error> {
        #[derive(Default, Deserialize)]
        struct Chart {
            #[serde(default)]
            metadata: Option<Metadata>,
        }
        let chart: Chart = self.read_chart()?;
        Ok(chart.metadata.unwrap_or_default())
    }

    /// Reads the chart's default values out of the record.
    pub fn chart_values(&self) -> Result<Map<String, Value>, Error> {
        #[derive(Default, Deserialize)]
        struct Chart {
            #[serde(default)]
            values: Option<Map<String, Value>>,
        }
        let chart: Chart = self.read_chart()?;
        Ok(chart.values.unwrap_or_default())
    }

    fn read_chart<T: Default + for<'de> Deserialize<'de>>(&self) -> Result<T, Error> {
        self.chart
            .as_ref()
            .map_or_else(|| Ok(T::default()), |chart| serde_json::from_str(chart.get()).map_err(Error::Read))
    }
}

fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, Error> {
    let mut json = Vec::new();
    MultiGzDecoder::new(packed).take(limit + 1).read_to_end(&mut json).map_err(Error::Unpack)?;
    if json.len() as u64 > limit { Err(Error::TooLarge) } else { Ok(json) }
}

fn pack(json: &[u8], level: Compression) -> Result<Vec<u8>, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(json).map_err(Error::Pack)?;
    encoder.finish().map_err(Error::Pack)
}

/// Writes a chart, as a release made it, as its record holds it.
pub fn record_chart(node: &Node) -> Result<Arc<RawValue>, Error> {
    let chart = node.chart();
    let values = node.stored_values().map(whole_numbers);
    let recorded = RecordedChart {
        metadata: node.metadata(),
        lock: chart.lock(),
        templates: record_files(chart.templates()),
        values,
        schema: chart.schema().map(|schema| STANDARD.encode(&schema.data)),
        schemamodtime: chart.schema().and_then(|s| s.modified).map_or_else(|| ZERO_TIME.to_string(), rfc3339),
        files: record_files(chart.files()),
        modtime: chart.modified().map(rfc3339),
    };
    serde_json::value::to_raw_value(&recorded).map(Arc::from).map_err(Error::Write)
}

#[derive(Serialize)]
struct RecordedChart<'a> {
    metadata: Metadata,
    lock: Option<&'a Lock>,
    templates: Vec<RecordedFile<'a>>,
    values: Option<Value>,
    schema: Option<String>,
    schemamodtime: String,
    files: Vec<RecordedFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<String>,
}

#[derive(Serialize)]
struct RecordedFile<'a> {
    name: &'a str,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<String>,
}

impl<'a> RecordedFile<'a> {
    fn new(file: &'a File) -> Self {
        Self { name: &file.name, data: STANDARD.encode(&file.data), modtime: file.modified.map(rfc3339) }
    }
}

fn record_files(files: &[File]) -> Vec<RecordedFile<'_>> {
    files.iter().map(RecordedFile::new).collect()
}

fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Writes floats without a fraction as Go does, without one.
pub fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(float) if n.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => Value::from(float as i64),
            _ => Value::Number(n),
        },
        Value::Array(list) => Value::Array(list.into_iter().map(whole_numbers).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, whole_numbers(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(record: &Value) -> Release {
        serde_json::from_value(record.clone()).unwrap()
    }

    #[test]
    fn a_record_of_helm_3_is_read() {
        let release = read(&json!({
            "name": "web",
            "info": {
                "first_deployed": "2024-05-01T10:00:00.123456789+02:00",
                "last_deployed": "2024-05-01T10:00:00Z",
                "deleted": "",
                "description": "Install complete",
                "status": "deployed",
            },
            "chart": {"metadata": {"name": "c", "version": "1.0.0"}, "lock": null, "values": {"a": 1}},
            "hooks": [{"name": "h", "events": ["pre-install", "odd"], "last_run": {"started_at": "", "completed_at": "", "phase": ""}}],
            "version": 3,
            "namespace": "ns",
        }));
        assert_eq!(release.info.status, Status::Deployed);
        assert_eq!(release.info.deleted, None);
        assert_eq!(release.apply_method, None);
        assert_eq!(release.hooks[0].events[1], crate::hook::Event::Other("odd".to_string()));
        assert_eq!(release.hooks[0].last_run, crate::hook::Execution::default());
        assert_eq!(release.chart_metadata().unwrap().version, "1.0.0");
        assert_eq!(Value::Object(release.chart_values().unwrap()), json!({"a": 1}));
        let written = serde_json::to_value(&release).unwrap();
        assert_eq!(written["info"]["first_deployed"], "2024-05-01T10:00:00.123456789+02:00");
        assert_eq!(written["info"]["last_deployed"], "2024-05-01T10:00:00Z");
        assert!(written["info"].get("deleted").is_none());
        assert_eq!(written["hooks"][0]["last_run"], json!({"phase": ""}));
    }

    #[test]
    fn a_record_survives_packing_and_keeps_what_it_does_not_know_of_the_chart() {
        let mut release = read(
            &json!({"name": "web", "version": 2, "info": {"status": "pending-upgrade"}, "chart": {"metadata": {"name": "c"}, "later": [1, 2]}, "apply_method": "ssa"}),
        );
        release.set_labels([("team".to_string(), "a".to_string()), ("status".to_string(), "x".to_string())]);
        let again = Release::decode(release.encode().unwrap().as_bytes()).unwrap();
        assert_eq!(again.apply_method, Some(ApplyMethod::ServerSide));
        assert!(again.info.status.is_pending());
        assert!(again.chart.unwrap().get().contains("\"later\":[1,2]"));
        let labels = release.secret_labels();
        assert_eq!((labels["team"].as_str(), labels["status"].as_str()), ("a", "pending-upgrade"));
        assert_eq!(Release::secret_name("web", 2), "sh.helm.release.v1.web.v2");
    }

    #[test]
    fn a_record_is_bounded_and_may_be_unpacked() {
        let plain = STANDARD.encode(r#"{"name":"web"}"#);
        assert_eq!(Release::decode(plain.as_bytes()).unwrap().name, "web");
        let spaces = pack(&vec![b' '; 1001], Compression::fast()).unwrap();
        assert!(matches!(unpack(&spaces, 1000), Err(Error::TooLarge)));
        assert_eq!(unpack(&spaces, 1001).unwrap().len(), 1001);
        assert!(matches!(Release::decode(b"%"), Err(Error::Base64(_))));
        assert!(matches!(Release::decode(b"e30x"), Err(Error::Read(_))));
    }
}
