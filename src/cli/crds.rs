//! `bowline crds`: the custom resource definitions as YAML.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use helm::yaml;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::{api, telemetry};

/// The arguments of `bowline crds`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder to write to, one file a definition; without it all go to standard output.
    folder: Option<PathBuf>,
}

/// What kept the definitions from being written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A definition could not be turned into YAML.
    #[error("cannot encode the definition {name}")]
    Encode { name: String, source: serde_json::Error },
    /// A definition could not be written as YAML.
    #[error("cannot write the definition {name} as YAML")]
    Emit { name: String, source: yaml::Error },
    /// The folder could not be made.
    #[error("cannot make the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Standard output could not be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// A definition as a file.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// The file's name, `<group>_<plural>.yaml`.
    pub name: String,
    /// Its text, one YAML document.
    pub text: Vec<u8>,
}

/// Writes the definitions of all kinds.
pub fn run(args: &Args) -> ExitCode {
    match write(args.folder.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", telemetry::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Makes the files of all definitions, in the order of their names.
pub fn files() -> Result<Vec<File>, Error> {
    let mut files = api::crds().iter().map(file).collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn file(crd: &CustomResourceDefinition) -> Result<File, Error> {
    let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
    let mut tree = serde_json::to_value(crd).map_err(|source| Error::Encode { name: name.clone(), source })?;
    write_whole_numbers_as_such(&mut tree);
    let mut text = b"---\n".to_vec();
    yaml::emit(&tree, 0, &mut text).map_err(|source| Error::Emit { name: name.clone(), source })?;
    text.push(b'\n');
    Ok(File { name, text })
}

/// Bounds are floats in the API's type; a person writes `minimum: 0`.
fn write_whole_numbers_as_such(tree: &mut Value) {
    match tree {
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = number.as_f64().filter(|float| float.fract() == 0.0) {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers_as_such),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers_as_such),
        _ => {}
    }
}

fn write(folder: Option<&Path>) -> Result<(), Error> {
    let files = files()?;
    let Some(folder) = folder else {
        let mut output = io::stdout().lock();
        return files.iter().try_for_each(|file| output.write_all(&file.text)).map_err(Error::Output);
    };
    fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
    for file in files {
        let path = folder.join(&file.name);
        fs::write(&path, file.text).map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}
