//! The values that flags and files give.

use std::io::{self, Read};

use helm::chart::folder::system_text;
use helm::chart::values;
use helm::strvals;
use serde_json::Map;

use super::Error;
use super::args::ValueArgs;
use super::remote::{MAX_FILE, Remote};

/// Merges the values of all flags: files, then JSON, then the other kinds, each in their order.
pub(super) fn merge(args: &ValueArgs, remote: &Remote) -> Result<Map<String, serde_json::Value>, Error> {
    let mut merged = Map::new();
    for path in split_commas(&args.values) {
        let text = read_file(&path, remote).map_err(Error::Open)?;
        let read = values::load(&text).map_err(|source| Error::ValuesFile { path: path.clone(), source })?;
        values::merge(&mut merged, read);
    }
    for line in &args.set_json {
        if line.trim_start().starts_with('{') {
            match serde_json::from_str(line.trim()) {
                Ok(serde_json::Value::Object(map)) => {
                    values::merge(&mut merged, map.into_iter().map(|(k, v)| (k, values::floats(v))).collect());
                }
                _ => return Err(Error::SetJsonObject(line.clone())),
            }
        } else {
            strvals::parse_json(line, &mut merged).map_err(|_| Error::SetJson(line.clone()))?;
        }
    }
    let failed = |flag| move |source| Error::Set { flag, source };
    for line in &args.set {
        strvals::parse_into(line, &mut merged).map_err(failed("set"))?;
    }
    for line in &args.set_string {
        strvals::parse_into_string(line, &mut merged).map_err(failed("set-string"))?;
    }
    let mut read = |path: &str| read_file(path, remote).map(|text| String::from_utf8_lossy(&text).into_owned());
    for line in &args.set_file {
        strvals::parse_into_file(line, &mut merged, &mut read).map_err(failed("set-file"))?;
    }
    for line in &args.set_literal {
        strvals::parse_literal_into(line, &mut merged).map_err(failed("set-literal"))?;
    }
    Ok(merged)
}

/// Reads a file, also by HTTP, or standard input for `-`; the error has Go's text.
fn read_file(path: &str, remote: &Remote) -> Result<Vec<u8>, String> {
    if path.trim() == "-" {
        let mut text = Vec::new();
        return io::stdin().read_to_end(&mut text).map(|_| text).map_err(|error| system_text(&error));
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return remote.get(path, None, false, MAX_FILE);
    }
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::IsADirectory => format!("read {path}: {}", system_text(&error)),
        _ => format!("open {path}: {}", system_text(&error)),
    })
}

/// Splits values of repeatable flags at commas; double quotes keep one together.
pub(super) fn split_commas(flags: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for flag in flags.iter().filter(|flag| !flag.is_empty()) {
        let (mut current, mut quoted) = (String::new(), false);
        for c in flag.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => out.push(std::mem::take(&mut current)),
                c => current.push(c),
            }
        }
        out.push(current);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_outside_quotes() {
        let flags = ["a,b".to_string(), "\"c,d\",e".to_string(), String::new()];
        assert_eq!(split_commas(&flags), ["a", "b", "c,d", "e"]);
    }
}
