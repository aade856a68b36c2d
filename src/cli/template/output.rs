//! What is printed, or written into files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use helm::chart::folder::system_text;
use helm::chart::glob;
use helm::hook::{Event, Hook};
use helm::manifest;
use helm::render::{Crd, Rendered, push_source};

use super::Error;
use super::args::Args;

/// How much output is gathered before it is written.
const BUFFER: usize = 64 << 10;

/// Prints what was rendered, or writes it into files.
pub(super) fn print(args: &Args, name: &str, rendered: &Rendered, mut out: impl Write) -> Result<(), Error> {
    let output = &args.output;
    let shows = |hook: &&Hook| !output.switches.skip_tests || !hook.events.contains(&Event::Test);
    let hooks: Vec<&Hook> =
        if output.switches.no_hooks { Vec::new() } else { rendered.hooks.iter().filter(shows).collect() };
    let failed = |error: io::Error| Error::Write(system_text(&error));
    let crds: &[Crd] = if output.switches.include_crds { &rendered.crds } else { &[] };
    let mut text = Vec::new();
    if output.output_dir.is_empty() {
        if output.show_only.is_empty() {
            let mut out = BufWriter::with_capacity(BUFFER, out);
            return write_documents(crds, rendered, &hooks, &mut out).and_then(|()| out.flush()).map_err(failed);
        }
        write_documents(crds, rendered, &hooks, &mut text).map_err(failed)?;
    } else {
        let mut files = Files { out: &mut out, written: HashSet::new() };
        for crd in crds {
            files.write(&output.output_dir, &crd.path, &crd.data.to_text())?;
        }
        let folder = if output.switches.release_name {
            format!("{}/{name}", output.output_dir.trim_end_matches('/'))
        } else {
            output.output_dir.clone()
        };
        for manifest in &rendered.manifests {
            files.write(&folder, &manifest.path, &manifest.text)?;
        }
        for hook in hooks {
            files.write(&folder, &hook.path, &hook.manifest)?;
        }
        text.push(b'\n');
    }
    if !output.show_only.is_empty() {
        text = only(&text, &output.show_only)?.into_bytes();
    }
    out.write_all(&text).and_then(|()| out.flush()).map_err(failed)
}

/// Writes definitions and manifests, without what is blank at their end, then hooks. One document at a time is held twice.
fn write_documents(crds: &[Crd], rendered: &Rendered, hooks: &[&Hook], out: &mut impl Write) -> io::Result<()> {
    let crds = crds.iter().map(|crd| (&crd.path, crd.data.to_text()));
    let manifests = rendered.manifests.iter().map(|manifest| (&manifest.path, Cow::from(&manifest.text)));
    let mut document = String::new();
    for (path, text) in crds.chain(manifests) {
        out.write_all(document.as_bytes())?;
        document.clear();
        push_source(&mut document, path, &text);
    }
    writeln!(out, "{}", document.trim_end())?;
    for hook in hooks {
        document.clear();
        push_source(&mut document, &hook.path, &hook.manifest);
        out.write_all(document.as_bytes())?;
    }
    Ok(())
}

/// Files under the output folder; a second document of a template is added to the first.
struct Files<'o, W: Write> {
    out: &'o mut W,
    written: HashSet<String>,
}

impl<W: Write> Files<'_, W> {
    fn write(&mut self, folder: &str, name: &str, text: &str) -> Result<(), Error> {
        let path = format!("{folder}/{name}");
        let failed = |error: io::Error| Error::Write(format!("open {path}: {}", system_text(&error)));
        if let Some(parent) = Path::new(&path).parent() {
            let parent_failed =
                |call: &str, error| Error::Folder(format!("{call} {}: {}", parent.display(), system_text(&error)));
            match std::fs::metadata(parent) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(parent_failed("stat", error)),
                _ => std::fs::create_dir_all(parent).map_err(|error| parent_failed("mkdir", error))?,
            }
        }
        let again = !self.written.insert(path.clone());
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).write(true).append(again).truncate(!again).open(&path);
        let mut document = String::new();
        push_source(&mut document, name, text);
        file.and_then(|mut file| file.write_all(document.as_bytes())).map_err(failed)?;
        writeln!(self.out, "wrote {path}").map_err(failed)
    }
}

/// Picks the documents of some templates, in the order in which those are named.
fn only(text: &[u8], wanted: &[String]) -> Result<String, Error> {
    let documents = manifest::split(text);
    let documents: Vec<_> = documents.iter().map(|document| String::from_utf8_lossy(document)).collect();
    let mut out = String::new();
    for pattern in wanted {
        let mut found = false;
        for document in &documents {
            let matches = source_path(document).is_some_and(|path| glob::path_match(pattern, path) == Ok(true));
            if matches {
                found = true;
                write!(out, "---\n{document}\n").map_err(|_| Error::NoTemplate(pattern.clone()))?;
            }
        }
        if !found {
            return Err(Error::NoTemplate(pattern.clone()));
        }
    }
    Ok(out)
}

/// Reads the path inside the chart from the comment that names a document's template.
fn source_path(document: &str) -> Option<&str> {
    document.lines().find_map(|line| {
        let path = line.split_once("# Source: ")?.1;
        let (chart, inner) = path.split_once('/')?;
        (!chart.is_empty() && !inner.is_empty()).then_some(inner)
    })
}

/// Prints rendered files that are no manifests, for a look at what is wrong with them.
pub(super) fn print_files(files: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    let mut text = String::new();
    for (path, content) in files {
        let content = String::from_utf8_lossy(content);
        if !content.trim().is_empty() {
            push_source(&mut text, path, &content);
        }
    }
    writeln!(io::stdout(), "{}", text.trim()).map_err(|error| Error::Write(system_text(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_picked_by_the_template_that_they_come_from() {
        let text = "---\n# Source: p/templates/a.yaml\na: 1\n---\n# Source: p/templates/b.yaml\nb: 1\n---\n# Source: p/templates/a.yaml\na: 2\n";
        let picked = only(text.as_bytes(), &["templates/a.*".to_string()]).unwrap();
        assert_eq!(picked, "---\n# Source: p/templates/a.yaml\na: 1\n\n---\n# Source: p/templates/a.yaml\na: 2\n\n");
        let missing = only(text.as_bytes(), &["a.yaml".to_string()]).unwrap_err();
        assert_eq!(missing.to_string(), "could not find template a.yaml in chart");
    }
}
