//! `bowline template`: a drop-in for `helm template`, with its flags, output, messages and exit status.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgAction;
use helm::chart::Chart;
use helm::chart::capabilities::{Capabilities, KubeVersion, KubeVersionError};
use helm::chart::folder::{Links, system_text};
use helm::chart::{glob, load, values};
use helm::functions::{Env, Resolve};
use helm::hook::{Event, Hook};
use helm::notice::{Level, Notice};
use helm::random::SystemRandom;
use helm::render::{self, Options, Rendered, push_source};
use helm::template::Program;
use helm::value::Value;
use helm::{manifest, release_name, strvals};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Map;

/// Arguments of `template`. Flags that only matter to a cluster are accepted and have no effect, as in Helm.
#[derive(Debug, clap::Args)]
#[command(
    about = "Renders a chart's templates locally and displays the output",
    override_usage = "bowline template [NAME] [CHART] [flags]"
)]
pub struct Args {
    /// The release's name, which may be left out, and the chart: a folder or an archive.
    #[arg(value_name = "NAME CHART", required = true, num_args = 1..)]
    positional: Vec<String>,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    release: ReleaseArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    unused: UnusedArgs,
}

/// Where values come from.
#[derive(Debug, clap::Args)]
struct ValueArgs {
    /// Values in a YAML file, `-` for standard input (repeatable, or separated by commas).
    #[arg(short = 'f', long = "values", value_name = "FILES", allow_hyphen_values = true)]
    values: Vec<String>,
    /// Sets values: key1=val1,key2=val2.
    #[arg(long, value_name = "PAIRS", allow_hyphen_values = true)]
    set: Vec<String>,
    /// Sets values that are strings.
    #[arg(long, value_name = "PAIRS", allow_hyphen_values = true)]
    set_string: Vec<String>,
    /// Sets JSON values: key1=json1,key2=json2, or one JSON object.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    set_json: Vec<String>,
    /// Sets values to the content of files: key1=path1,key2=path2.
    #[arg(long, value_name = "PAIRS", allow_hyphen_values = true)]
    set_file: Vec<String>,
    /// Sets one literal string.
    #[arg(long, value_name = "PAIR", allow_hyphen_values = true)]
    set_literal: Vec<String>,
    /// Does not check values against the charts' schemas.
    #[command(flatten)]
    skip_schema_validation: SkipSchema,
}

macro_rules! switches {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident $([$($attribute:tt)*])?),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, clap::Args)]
        struct $name {
            $(
                $(#[$field_doc])*
                #[arg(
                    long,
                    action = ArgAction::Set,
                    num_args = 0..=1,
                    require_equals = true,
                    default_value_t = false,
                    default_missing_value = "true",
                    hide_default_value = true,
                    hide_possible_values = true
                    $(, $($attribute)*)?
                )]
                $field: bool,
            )*
        }
    };
}

switches! {
    /// Schema checks.
    SkipSchema {
        /// Does not check values against the charts' schemas.
        skip_schema_validation,
    }
}

/// What is written, and where to.
#[derive(Debug, clap::Args)]
struct OutputArgs {
    /// Only shows manifests of these templates.
    #[arg(short = 's', long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    show_only: Vec<String>,
    /// Writes the manifests into files under this folder.
    #[arg(long, value_name = "FOLDER", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    output_dir: String,
    #[command(flatten)]
    switches: OutputSwitches,
}

switches! {
    /// Switches of the output.
    OutputSwitches {
        /// Includes the objects of crds/ folders.
        include_crds,
        /// Leaves tests out.
        skip_tests,
        /// Leaves hooks out.
        no_hooks,
        /// Uses the release's name in the path under the output folder.
        release_name,
        /// Shows what was rendered even when it is no YAML.
        debug,
    }
}

/// What templates are told.
#[derive(Debug, clap::Args)]
struct ReleaseArgs {
    /// The release's namespace.
    #[arg(short = 'n', long, env = "HELM_NAMESPACE", default_value = "", hide_default_value = true, hide_env = true)]
    namespace: String,
    /// A template for the release's name.
    #[arg(long, value_name = "TEMPLATE", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    name_template: String,
    /// The Kubernetes version of .Capabilities.KubeVersion.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    kube_version: String,
    /// More Kubernetes API versions of .Capabilities.APIVersions (repeatable, or separated by commas).
    #[arg(short = 'a', long, value_name = "VERSIONS", allow_hyphen_values = true)]
    api_versions: Vec<String>,
    #[command(flatten)]
    switches: ReleaseSwitches,
}

switches! {
    /// Switches of the release.
    ReleaseSwitches {
        /// Renders an upgrade in place of an installation.
        is_upgrade,
        /// Lets templates look up host names.
        enable_dns,
        /// Generates the release's name (needs the name left out).
        generate_name [short = 'g'],
    }
}

/// Where the chart comes from.
#[derive(Debug, clap::Args)]
struct SourceArgs {
    /// The chart repository that the chart is in.
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    repo: String,
    /// The version, or range of versions, of a chart from a repository.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    version: String,
    #[command(flatten)]
    switches: SourceSwitches,
}

switches! {
    /// Switches of the source.
    SourceSwitches {
        /// Fetches missing dependencies before rendering.
        dependency_update,
        /// Verifies the chart before using it.
        verify,
    }
}

/// Flags of `helm template` that change nothing in its output.
#[derive(Debug, clap::Args)]
struct UnusedArgs {
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_value = "client", default_missing_value = "unset")]
    dry_run: String,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    post_renderer: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    post_renderer_args: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    description: Option<String>,
    #[arg(short = 'l', long, hide = true, allow_hyphen_values = true)]
    labels: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    timeout: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "watcher")]
    wait: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    keyring: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    kubeconfig: Option<PathBuf>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    kube_context: Option<String>,
    #[command(flatten)]
    switches: UnusedSwitches,
}

switches! {
    /// Switches without effect here.
    UnusedSwitches {
        create_namespace [hide = true],
        force_replace [hide = true],
        force_conflicts [hide = true],
        replace [hide = true],
        wait_for_jobs [hide = true],
        devel [hide = true],
        disable_openapi_validation [hide = true],
        rollback_on_failure [hide = true],
        skip_crds [hide = true],
        take_ownership [hide = true],
        hide_notes [hide = true],
        render_subchart_notes [hide = true],
        force [hide = true],
        atomic [hide = true],
        validate [hide = true],
    }
}

/// Why nothing was rendered; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("invalid kube version '{version}': {source}")]
    KubeVersion { version: String, source: KubeVersionError },
    #[error("{0}")]
    DryRun(String),
    #[error("--dry-run=server needs a cluster, which bowline template does not talk to")]
    DryRunServer,
    #[error("--post-renderer is not supported: post-renderers are Helm plugins")]
    PostRenderer,
    #[error("--verify is not supported: chart provenance files are not checked")]
    Verify,
    #[error("expected at most two arguments, unexpected arguments: {0}")]
    TooManyArguments(String),
    #[error("cannot set {0} and also specify a name")]
    NameTwice(&'static str),
    #[error("{0}")]
    NameTemplate(String),
    #[error("path {} not found", helm::quote::quote(.0))]
    PathNotFound(String),
    #[error("{0}")]
    Reference(String),
    #[error("failed to parse {path}: {source}")]
    ValuesFile { path: String, source: values::DocumentError },
    #[error("{0}")]
    Open(String),
    #[error("failed parsing --set-json data JSON: {0}")]
    SetJsonObject(String),
    #[error("failed parsing --set-json data {0}")]
    SetJson(String),
    #[error("failed parsing --{flag} data: {source}")]
    Set { flag: &'static str, source: strvals::Error },
    #[error("{0}")]
    Load(#[from] load::Error),
    #[error("{0} charts are not installable")]
    NotInstallable(String),
    #[error(
        "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {0}"
    )]
    MissingDependencies(String),
    #[error("release name check failed: {0}")]
    ReleaseName(release_name::Error),
    #[error("{error}{}", if *.hint { "\n\nUse --debug flag to render out invalid YAML" } else { "" })]
    Render { error: String, hint: bool },
    #[error("could not find template {0} in chart")]
    NoTemplate(String),
    #[error("{0}")]
    Write(String),
}

/// Renders a chart as the arguments say and returns the status to exit with.
pub fn run(args: Args) -> ExitCode {
    let debug = args.output.switches.debug;
    let mut stderr = io::stderr().lock();
    let mut log = |notice: &Notice| {
        if debug || notice.level > Level::Debug {
            // There is nowhere to report that standard error is gone.
            let _ = writeln!(stderr, "{notice}");
        }
    };
    let outcome = deprecated(&args).and_then(|()| template(&args, &mut log));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Words a mistake in the arguments as Helm does; None is one that Helm cannot make.
pub fn flag_error(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => flag.split([' ', '=']).next().unwrap_or_default().to_string(),
        Some(ContextValue::Strings(flags)) => flags.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let short = flag.strip_prefix('-').filter(|rest| !rest.starts_with('-')).and_then(|rest| rest.chars().next());
    match (error.kind(), short) {
        (ErrorKind::UnknownArgument, Some(letter)) => Some(format!("unknown shorthand flag: '{letter}' in {flag}")),
        (ErrorKind::UnknownArgument, None) => Some(format!("unknown flag: {flag}")),
        (ErrorKind::InvalidValue, Some(letter)) => Some(format!("flag needs an argument: '{letter}' in {flag}")),
        (ErrorKind::InvalidValue, None) => Some(format!("flag needs an argument: {flag}")),
        (ErrorKind::MissingRequiredArgument, _) => Some(
            "\"bowline template\" requires at least 1 argument\n\nUsage:  bowline template [NAME] [CHART] [flags]"
                .to_string(),
        ),
        _ => None,
    }
}

/// Tells of flags that Helm has given up.
fn deprecated(args: &Args) -> Result<(), Error> {
    let switches = &args.unused.switches;
    for (used, flag, text) in [
        (
            switches.hide_notes,
            "hide-notes",
            "this flag has no effect for 'helm template' and will be removed in Helm 5",
        ),
        (
            switches.render_subchart_notes,
            "render-subchart-notes",
            "this flag has no effect for 'helm template' and will be removed in Helm 5",
        ),
        (switches.force, "force", "use --force-replace instead"),
        (switches.atomic, "atomic", "use --rollback-on-failure instead"),
        (switches.validate, "validate", "use '--dry-run=server' instead"),
    ] {
        if used {
            let _ = writeln!(io::stderr(), "Flag --{flag} has been deprecated, {text}");
        }
    }
    if switches.validate { Err(Error::DryRunServer) } else { Ok(()) }
}

fn template(args: &Args, log: &mut dyn FnMut(&Notice)) -> Result<(), Error> {
    let mut capabilities = Capabilities::default().with_api_versions(&split_commas(&args.release.api_versions));
    let version = &args.release.kube_version;
    if !version.is_empty() {
        let failed = |source| Error::KubeVersion { version: version.clone(), source };
        capabilities.kube_version = KubeVersion::parse(version).map_err(failed)?;
    }
    check_dry_run(&args.unused.dry_run, log)?;
    if args.unused.post_renderer.is_some() {
        return Err(Error::PostRenderer);
    }
    let random = SystemRandom;
    let dns = SystemDns;
    let env = Env {
        now: Timestamp::now(),
        time_zone: TimeZone::system(),
        random: &random,
        keys_made: std::cell::Cell::default(),
        lookup: None,
        dns: args.release.switches.enable_dns.then_some(&dns as &dyn Resolve),
    };
    log(&Notice::new(Level::Debug, "Original chart version").with("version", &args.source.version));
    let (name, reference) = name_and_chart(args, &env)?;
    let path = locate(args, &reference)?;
    log(&Notice::new(Level::Debug, "Chart path").with("path", path.display().to_string()));
    let values = merge_values(&args.values)?;
    let chart = load_chart(&path, log)?;
    if let Err(error) = release_name::check(&name) {
        let error = Error::ReleaseName(error);
        let text = error.to_string();
        let text = text.strip_prefix("release name check failed: ").unwrap_or(&text);
        log(&Notice::new(Level::Error, "release name check failed").with("error", text));
        return Err(error);
    }
    let namespace = namespace(args);
    let options = Options {
        name,
        namespace,
        revision: 1,
        is_upgrade: args.release.switches.is_upgrade,
        capabilities,
        env,
        skip_schema_validation: args.values.skip_schema_validation.skip_schema_validation,
        dependency_notes: false,
    };
    match render::render(&chart, &values, &options) {
        Ok(rendered) => {
            rendered.notices.iter().for_each(log);
            print(args, &options.name, &rendered, io::stdout().lock())
        }
        Err(failure) => {
            failure.notices.iter().for_each(log);
            let debug = args.output.switches.debug;
            if debug && failure.has_release() {
                print_files(&failure.files)?;
            }
            Err(Error::Render { error: failure.error.to_string(), hint: failure.has_release() && !debug })
        }
    }
}

fn check_dry_run(mode: &str, log: &mut dyn FnMut(&Notice)) -> Result<(), Error> {
    let warn = |log: &mut dyn FnMut(&Notice), text: &str| log(&Notice::new(Level::Warn, text));
    let quoted = helm::quote::quote(mode);
    match mode {
        "client" => Ok(()),
        "server" => Err(Error::DryRunServer),
        "unset" => {
            warn(log, "--dry-run is deprecated and should be replaced with '--dry-run=client'");
            Ok(())
        }
        "1" | "t" | "T" | "TRUE" | "true" | "True" => {
            warn(
                log,
                &format!("boolean '--dry-run={mode}' flag is deprecated and must be replaced with '--dry-run=client'"),
            );
            Ok(())
        }
        "none" | "0" | "f" | "F" | "FALSE" | "false" | "False" => {
            Err(Error::DryRun(format!("invalid dry-run value ({quoted}). Must be \"server\" or \"client\"")))
        }
        _ => {
            Err(Error::DryRun(format!("invalid dry-run value ({quoted}). Must be \"none\", \"server\", or \"client\"")))
        }
    }
}

/// Finds the release's name and the chart's reference in the arguments.
fn name_and_chart(args: &Args, env: &Env<'_>) -> Result<(String, String), Error> {
    match args.positional.as_slice() {
        [chart] if args.release.name_template.is_empty() => Ok(("release-name".to_string(), chart.clone())),
        [chart] => Ok((name_from_template(&args.release.name_template, env)?, chart.clone())),
        [_, _] if args.release.switches.generate_name => Err(Error::NameTwice("--generate-name")),
        [_, _] if !args.release.name_template.is_empty() => Err(Error::NameTwice("--name-template")),
        [name, chart] => Ok((name.clone(), chart.clone())),
        [_, _, more @ ..] => Err(Error::TooManyArguments(more.join(", "))),
        [] => Err(Error::TooManyArguments(String::new())),
    }
}

fn name_from_template(text: &str, env: &Env<'_>) -> Result<String, Error> {
    let failed = |error: helm::template::Error| {
        let text = error.to_string();
        // Go's own text, which the engine words as Helm does for files.
        let parse = text.strip_prefix("parse error at (").and_then(|rest| rest.split_once("): "));
        Error::NameTemplate(parse.map_or_else(|| text.clone(), |(at, what)| format!("template: {at}: {what}")))
    };
    let program = Program::compile(&[("name-template", text)]).map_err(failed)?;
    let name = program.render("name-template", Value::Nil, env).map_err(failed)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Finds the chart's folder or archive.
fn locate(args: &Args, reference: &str) -> Result<PathBuf, Error> {
    if args.source.switches.verify {
        return Err(Error::Verify);
    }
    let reference = reference.trim();
    if args.source.repo.is_empty() {
        if Path::new(reference).exists() {
            return std::path::absolute(reference).map_err(|error| Error::Reference(system_text(&error)));
        }
        if reference.starts_with(['/', '.']) {
            return Err(Error::PathNotFound(reference.to_string()));
        }
        if !reference.contains("://") {
            let Some((repository, _)) = reference.split_once('/') else {
                let text = "non-absolute URLs should be in form of repo_name/path_to_chart, got";
                return Err(Error::Reference(format!("{text}: {reference}")));
            };
            return Err(Error::Reference(format!("repo {repository} not found")));
        }
    }
    Err(Error::Reference(format!("charts are read from folders and archives, not from {reference}")))
}

fn load_chart(path: &Path, log: &mut dyn FnMut(&Notice)) -> Result<Arc<Chart>, Error> {
    let chart = Chart::load(path, &Links::Follow)?;
    chart.notices().iter().for_each(&mut *log);
    let kind = &chart.metadata().chart_type;
    if !matches!(kind.as_str(), "" | "application") {
        return Err(Error::NotInstallable(kind.clone()));
    }
    if chart.is_deprecated() {
        log(&Notice::new(Level::Warn, "this chart is deprecated"));
    }
    let missing = chart.missing_dependencies();
    if !missing.is_empty() {
        return Err(Error::MissingDependencies(missing.join(", ")));
    }
    Ok(Arc::new(chart))
}

/// Merges the values of all flags: files, then JSON, then the other kinds, each in their order.
fn merge_values(args: &ValueArgs) -> Result<Map<String, serde_json::Value>, Error> {
    let mut merged = Map::new();
    for path in split_commas(&args.values) {
        let text = read_file(&path).map_err(Error::Open)?;
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
    let mut read = |path: &str| read_file(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    for line in &args.set_file {
        strvals::parse_into_file(line, &mut merged, &mut read).map_err(failed("set-file"))?;
    }
    for line in &args.set_literal {
        strvals::parse_literal_into(line, &mut merged).map_err(failed("set-literal"))?;
    }
    Ok(merged)
}

/// Reads a file, or standard input for `-`; the error has Go's text.
fn read_file(path: &str) -> Result<Vec<u8>, String> {
    if path.trim() == "-" {
        let mut text = Vec::new();
        return io::stdin().read_to_end(&mut text).map(|_| text).map_err(|error| system_text(&error));
    }
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::IsADirectory => format!("read {path}: {}", system_text(&error)),
        _ => format!("open {path}: {}", system_text(&error)),
    })
}

/// Splits values of repeatable flags at commas; double quotes keep one together.
fn split_commas(flags: &[String]) -> Vec<String> {
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

/// The namespace of the flag or its variable, of the kubeconfig's context, or `default`.
fn namespace(args: &Args) -> String {
    if !args.release.namespace.is_empty() {
        return args.release.namespace.clone();
    }
    let path = args.unused.kubeconfig.clone().or_else(default_kubeconfig);
    let context = args.unused.kube_context.as_deref();
    path.and_then(|path| context_namespace(&path, context)).unwrap_or_else(|| "default".to_string())
}

#[expect(clippy::disallowed_methods, reason = "where the kubeconfig is, is part of the command line")]
fn default_kubeconfig() -> Option<PathBuf> {
    match std::env::var("KUBECONFIG") {
        Ok(paths) if !paths.is_empty() => std::env::split_paths(&paths).next(),
        _ => std::env::home_dir().map(|home| home.join(".kube/config")),
    }
}

fn context_namespace(kubeconfig: &Path, context: Option<&str>) -> Option<String> {
    let config = helm::yaml::parse(&std::fs::read(kubeconfig).ok()?).ok()?;
    let current = context.or_else(|| config.get("current-context")?.as_str())?;
    let contexts = config.get("contexts")?.as_array()?;
    let context = contexts.iter().find(|entry| entry.get("name").and_then(|name| name.as_str()) == Some(current))?;
    let namespace = context.get("context")?.get("namespace")?.as_str()?;
    (!namespace.is_empty()).then(|| namespace.to_string())
}

/// Prints what was rendered, or writes it into files.
fn print(args: &Args, name: &str, rendered: &Rendered, mut out: impl Write) -> Result<(), Error> {
    let output = &args.output;
    let shows = |hook: &&Hook| !output.switches.skip_tests || !hook.events.contains(&Event::Test);
    let hooks: Vec<&Hook> =
        if output.switches.no_hooks { Vec::new() } else { rendered.hooks.iter().filter(shows).collect() };
    let failed = |error: io::Error| Error::Write(system_text(&error));
    let mut text = String::new();
    if output.output_dir.is_empty() {
        if output.switches.include_crds {
            for crd in &rendered.crds {
                push_source(&mut text, &crd.path, &crd.data.to_text());
            }
        }
        text.push_str(&rendered.manifest());
        text = format!("{}\n", text.trim());
        for hook in hooks {
            push_source(&mut text, &hook.path, &hook.manifest);
        }
    } else {
        let mut files = Files { out: &mut out, written: HashSet::new() };
        if output.switches.include_crds {
            for crd in &rendered.crds {
                files.write(&output.output_dir, &crd.path, &crd.data.to_text())?;
            }
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
        text.push('\n');
    }
    let text = if output.show_only.is_empty() { text } else { only(&text, &output.show_only)? };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(failed)
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
            std::fs::create_dir_all(parent).map_err(failed)?;
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
fn only(text: &str, wanted: &[String]) -> Result<String, Error> {
    let documents = manifest::split(text.as_bytes());
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
fn print_files(files: &std::collections::BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    let mut text = String::new();
    for (path, content) in files {
        let content = String::from_utf8_lossy(content);
        if !content.trim().is_empty() {
            push_source(&mut text, path, &content);
        }
    }
    writeln!(io::stdout(), "{}", text.trim()).map_err(|error| Error::Write(system_text(&error)))
}

/// The system's resolver, which `getHostByName` asks.
struct SystemDns;

impl Resolve for SystemDns {
    fn resolve(&self, host: &str) -> String {
        use std::net::ToSocketAddrs;
        let first = (host, 0).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        first.map_or_else(String::new, |address| address.ip().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_outside_quotes() {
        let flags = ["a,b".to_string(), "\"c,d\",e".to_string(), String::new()];
        assert_eq!(split_commas(&flags), ["a", "b", "c,d", "e"]);
    }

    #[test]
    fn documents_are_picked_by_the_template_that_they_come_from() {
        let text = "---\n# Source: p/templates/a.yaml\na: 1\n---\n# Source: p/templates/b.yaml\nb: 1\n---\n# Source: p/templates/a.yaml\na: 2\n";
        let picked = only(text, &["templates/a.*".to_string()]).unwrap();
        assert_eq!(picked, "---\n# Source: p/templates/a.yaml\na: 1\n\n---\n# Source: p/templates/a.yaml\na: 2\n\n");
        let missing = only(text, &["a.yaml".to_string()]).unwrap_err();
        assert_eq!(missing.to_string(), "could not find template a.yaml in chart");
    }
}
