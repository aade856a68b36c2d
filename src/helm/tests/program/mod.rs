//! Helm's own program, which has the last word where a row was made with another Go than it was built with.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Runs `helm template rel CHART --namespace ns` on a chart of these files; the error is what it says, without log lines.
pub fn template<'f>(
    helm: &OsStr,
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    arguments: &[String],
) -> Result<String, String> {
    let folder = std::env::temp_dir().join(format!("engine-{}", std::process::id()));
    let chart = folder.join("chart");
    for (name, data) in files {
        write(&chart.join(name), data);
    }
    let mut command = Command::new(helm);
    command.args(["template", "rel"]).arg(&chart).args(["--namespace", "ns"]).args(arguments);
    command.env_clear().env("HOME", &folder).env("KUBECONFIG", "/dev/null").env("TZ", "UTC");
    let output = command.output().expect("helm runs");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = error.lines().filter(|line| !line.starts_with("level=")).collect();
    let error = lines.join("\n");
    let error = error.strip_prefix("Error: ").unwrap_or(&error).trim_end();
    Err(error.trim_end_matches("Use --debug flag to render out invalid YAML").trim_end().to_owned())
}

fn write(path: &Path, data: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
    std::fs::write(path, data).expect("the file can be written");
}
