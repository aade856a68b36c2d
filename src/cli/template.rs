//! `bowline template`: a drop-in for `helm template`, with its flags, output, messages and exit status.

mod args;
mod dependencies;
mod go;
mod homes;
mod locate;
mod output;
mod reference;
mod remote;
mod repositories;
mod values;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use helm::chart::capabilities::{Capabilities, KubeVersion, KubeVersionError};
use helm::chart::folder::Links;
use helm::chart::values::DocumentError;
use helm::chart::{Chart, load};
use helm::functions::{Env, Resolve};
use helm::notice::{Level, Notice};
use helm::random::SystemRandom;
use helm::render::{self, Options};
use helm::template::Program;
use helm::{release_name, strvals};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::homes::Homes;
use self::locate::Locator;
use self::remote::Remote;
pub use args::Args;

/// Why nothing was rendered; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("invalid kube version '{version}': {source}")]
    KubeVersion { version: String, source: KubeVersionError },
    #[error("{0}")]
    DryRun(String),
    #[error("--dry-run=server needs a cluster, which bowline template does not talk to")]
    DryRunServer,
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
    ValuesFile { path: String, source: DocumentError },
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
    #[error("failed reloading chart after repo update: {0}")]
    Reload(#[source] load::Error),
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
    #[error("{0}\n\nUse --debug flag to render out invalid YAML")]
    Folder(String),
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
    if let Some(mode) = args.unused.color.as_deref().filter(|mode| !matches!(*mode, "" | "never" | "auto" | "always")) {
        let mode = helm::quote::quote(mode);
        let text = format!("invalid color mode {mode}: must be one of: never, auto, always");
        log(&Notice::new(Level::Warn, "command failed").with("error", text));
        return ExitCode::FAILURE;
    }
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
pub fn flag_error(error: &clap::Error, arguments: &[String]) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    // clap shows a flag with what it takes: `--set <PAIRS>`, `--wait[=<WAIT>]`.
    let flag = text(ContextKind::InvalidArg);
    let flag = flag.split([' ', '=', '[']).next().unwrap_or_default();
    let value = text(ContextKind::InvalidValue);
    let letter = |flag: &str| flag.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?.chars().next_back();
    match error.kind() {
        ErrorKind::UnknownArgument => Some(match letter(flag) {
            Some(letter) => format!("unknown shorthand flag: '{letter}' in {flag}"),
            None => format!("unknown flag: {flag}"),
        }),
        ErrorKind::InvalidValue if value.is_empty() => Some(match arguments.last().and_then(|last| letter(last)) {
            Some(letter) => format!("flag needs an argument: '{letter}' in -{letter}"),
            None => format!("flag needs an argument: {flag}"),
        }),
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let value = helm::quote::quote(&value);
            Some(format!("invalid argument {value} for \"{}{flag}\" flag: {reason}", short_form(flag)))
        }
        ErrorKind::MissingRequiredArgument => Some(
            "\"bowline template\" requires at least 1 argument\n\nUsage:  bowline template [NAME] [CHART] [flags]"
                .to_string(),
        ),
        _ => None,
    }
}

/// The short form of a long flag with the comma that separates both, nothing where there is none.
fn short_form(long: &str) -> String {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("template"));
    let found = command.get_arguments().find(|argument| argument.get_long() == long.strip_prefix("--"));
    found.and_then(clap::Arg::get_short).map_or_else(String::new, |short| format!("-{short}, "))
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
    let mut capabilities = Capabilities::default().with_api_versions(&values::split_commas(&args.release.api_versions));
    let version = &args.release.kube_version;
    if !version.is_empty() {
        let failed = |source| Error::KubeVersion { version: version.clone(), source };
        capabilities.kube_version = KubeVersion::parse(version).map_err(failed)?;
    }
    let homes = Homes::of(&args.homes);
    let remote = Remote::new(&args.source, &homes).map_err(Error::Reference)?;
    check_dry_run(&args.unused.dry_run, log)?;
    let random = SystemRandom;
    let dns = SystemDns;
    let env = Env {
        time_zone: TimeZone::system(),
        dns: args.release.switches.enable_dns.then_some(&dns as &dyn Resolve),
        ..Env::at(Timestamp::now(), &random)
    };
    let waits = args.unused.wait.as_deref();
    for (used, instead) in [("true", "watcher"), ("false", "hookOnly")].into_iter().filter(|(w, _)| waits == Some(w)) {
        let text = format!("--wait={used} is deprecated (boolean value) and can be replaced with --wait={instead}");
        log(&Notice::new(Level::Warn, text));
    }
    log(&Notice::new(Level::Debug, "Original chart version").with("version", &args.source.version));
    let (name, reference) = name_and_chart(args, &env)?;
    let mut locator = Locator { homes: &homes, remote: &remote, log: &mut *log };
    let path = locator.locate(args, &reference)?;
    (locator.log)(&Notice::new(Level::Debug, "Chart path").with("path", path.display().to_string()));
    let values = values::merge(&args.values, &remote)?;
    let chart = load_chart(&path, args.source.switches.dependency_update, &mut locator)?;
    if let Err(error) = release_name::check(&name) {
        let error = Error::ReleaseName(error);
        let text = error.to_string();
        let text = text.strip_prefix("release name check failed: ").unwrap_or(&text);
        log(&Notice::new(Level::Error, "release name check failed").with("error", text));
        return Err(error);
    }
    let namespace = namespace(args);
    let options = Options {
        is_upgrade: args.release.switches.is_upgrade,
        capabilities,
        skip_schema_validation: args.values.skip_schema_validation.skip_schema_validation,
        objects: false,
        ..Options::install(name, namespace, env)
    };
    match render::render(&chart, &values, &options) {
        Ok(rendered) => {
            rendered.notices.iter().for_each(log);
            output::print(args, &options.name, &rendered, io::stdout().lock())
        }
        Err(failure) => {
            failure.notices.iter().for_each(log);
            let debug = args.output.switches.debug;
            if debug && failure.has_release() {
                output::print_files(&failure.files)?;
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
    let name = Program::render_text("name-template", text, env).map_err(Error::NameTemplate)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn load_chart(path: &Path, updates: bool, locator: &mut Locator<'_>) -> Result<Arc<Chart>, Error> {
    let chart = Chart::load(path, &Links::Follow)?;
    chart.notices().iter().for_each(&mut *locator.log);
    let kind = &chart.metadata().chart_type;
    if !matches!(kind.as_str(), "" | "application") {
        return Err(Error::NotInstallable(kind.clone()));
    }
    if chart.is_deprecated() {
        (locator.log)(&Notice::new(Level::Warn, "this chart is deprecated"));
    }
    let missing = chart.missing_dependencies();
    if missing.is_empty() {
        return Ok(Arc::new(chart));
    }
    if !updates {
        return Err(Error::MissingDependencies(missing.join(", ")));
    }
    dependencies::update(locator, path).map_err(Error::Reference)?;
    let chart = Chart::load(path, &Links::Follow).map_err(Error::Reload)?;
    chart.notices().iter().for_each(&mut *locator.log);
    Ok(Arc::new(chart))
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

/// The system's resolver, which `getHostByName` asks.
struct SystemDns;

impl Resolve for SystemDns {
    fn resolve(&self, host: &str) -> String {
        use std::net::ToSocketAddrs;
        let first = (host, 0).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        first.map_or_else(String::new, |address| address.ip().to_string())
    }
}
