//! The flags of `helm template`.

use std::path::PathBuf;

use clap::ArgAction;

use super::go;

/// Arguments of `template`. Flags that only matter to a cluster are accepted and have no effect, as in Helm.
#[derive(Debug, clap::Args)]
#[command(
    about = "Renders a chart's templates locally and displays the output",
    override_usage = "bowline template [NAME] [CHART] [flags]",
    args_override_self = true
)]
pub struct Args {
    /// The release's name, which may be left out, and the chart: a folder, an archive, a URL, oci://, or a name in a
    /// repository.
    #[arg(value_name = "NAME CHART", required = true, num_args = 1..)]
    pub(super) positional: Vec<String>,
    #[command(flatten)]
    pub(super) values: ValueArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) release: ReleaseArgs,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    pub(super) homes: HomeArgs,
    #[command(flatten)]
    pub(super) unused: UnusedArgs,
}

/// Where values come from.
#[derive(Debug, clap::Args)]
pub(super) struct ValueArgs {
    /// Values in a YAML file, `-` for standard input (repeatable, or separated by commas).
    #[arg(short = 'f', long = "values", value_name = "FILES", allow_hyphen_values = true)]
    pub(super) values: Vec<String>,
    /// Sets values: key1=val1,key2=val2.
    #[arg(long, value_name = "PAIRS", allow_hyphen_values = true)]
    pub(super) set: Vec<String>,
    /// Sets values that are strings.
    #[arg(long, value_name = "PAIRS", allow_hyphen_values = true)]
    pub(super) set_string: Vec<String>,
    /// Sets JSON values: key1=json1,key2=json2, or one JSON object.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(super) set_json: Vec<String>,
    /// Sets values to the content of files: key1=path1,key2=path2.
    #[arg(long, value_name = "PAIRS", allow_hyphen_values = true)]
    pub(super) set_file: Vec<String>,
    /// Sets one literal string.
    #[arg(long, value_name = "PAIR", allow_hyphen_values = true)]
    pub(super) set_literal: Vec<String>,
    /// Does not check values against the charts' schemas.
    #[command(flatten)]
    pub(super) skip_schema_validation: SkipSchema,
}

macro_rules! switches {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident $([$($attribute:tt)*])?),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, clap::Args)]
        pub(super) struct $name {
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
                    value_parser = go::parse_bool
                    $(, $($attribute)*)?
                )]
                pub(super) $field: bool,
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
pub(super) struct OutputArgs {
    /// Only shows manifests of these templates.
    #[arg(short = 's', long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    pub(super) show_only: Vec<String>,
    /// Writes the manifests into files under this folder.
    #[arg(long, value_name = "FOLDER", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) output_dir: String,
    #[command(flatten)]
    pub(super) switches: OutputSwitches,
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
pub(super) struct ReleaseArgs {
    /// The release's namespace.
    #[arg(short = 'n', long, env = "HELM_NAMESPACE", default_value = "", hide_default_value = true, hide_env = true)]
    pub(super) namespace: String,
    /// A template for the release's name.
    #[arg(long, value_name = "TEMPLATE", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) name_template: String,
    /// The Kubernetes version of .Capabilities.KubeVersion.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) kube_version: String,
    /// More Kubernetes API versions of .Capabilities.APIVersions (repeatable, or separated by commas).
    #[arg(short = 'a', long, value_name = "VERSIONS", allow_hyphen_values = true)]
    pub(super) api_versions: Vec<String>,
    #[command(flatten)]
    pub(super) switches: ReleaseSwitches,
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
pub(super) struct SourceArgs {
    /// The chart repository that the chart is in.
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    pub(super) repo: String,
    /// The version, or range of versions, of a chart from a repository.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) version: String,
    /// The user at the repository or registry.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) username: String,
    /// The user's password.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) password: String,
    /// Authorities that vouch for the repository's or registry's certificate.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) ca_file: String,
    /// A certificate of one's own for the repository or registry.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) cert_file: String,
    /// The key of the certificate.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) key_file: String,
    #[command(flatten)]
    pub(super) switches: SourceSwitches,
}

/// Where Helm's files are.
#[derive(Debug, Default, clap::Args)]
pub(super) struct HomeArgs {
    /// The logins of registries.
    #[arg(long, value_name = "FILE", env = "HELM_REGISTRY_CONFIG", hide_env = true, allow_hyphen_values = true)]
    pub(super) registry_config: Option<PathBuf>,
    /// The repositories that are known by name.
    #[arg(long, value_name = "FILE", env = "HELM_REPOSITORY_CONFIG", hide_env = true, allow_hyphen_values = true)]
    pub(super) repository_config: Option<PathBuf>,
    /// The folder of repositories' indexes.
    #[arg(long, value_name = "FOLDER", env = "HELM_REPOSITORY_CACHE", hide_env = true, allow_hyphen_values = true)]
    pub(super) repository_cache: Option<PathBuf>,
    /// The folder of fetched charts.
    #[arg(long, value_name = "FOLDER", env = "HELM_CONTENT_CACHE", hide_env = true, allow_hyphen_values = true)]
    pub(super) content_cache: Option<PathBuf>,
}

switches! {
    /// Switches of the source.
    SourceSwitches {
        /// Fetches missing dependencies before rendering.
        dependency_update,
        /// Verifies the chart before using it.
        verify,
        /// Takes whatever certificate the repository or registry shows.
        insecure_skip_tls_verify,
        /// Speaks plain HTTP to the registry.
        plain_http,
        /// Sends user and password wherever the repository's index leads.
        pass_credentials,
    }
}

/// Flags of `helm template` that change nothing in its output.
#[derive(Debug, clap::Args)]
pub(super) struct UnusedArgs {
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_value = "client", default_missing_value = "unset")]
    pub(super) dry_run: String,
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = go::check_post_renderer)]
    pub(super) post_renderer: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) post_renderer_args: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) description: Option<String>,
    #[arg(short = 'l', long, hide = true, allow_hyphen_values = true, value_parser = go::check_pairs)]
    pub(super) labels: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = go::check_duration)]
    pub(super) timeout: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "watcher", value_parser = go::check_wait)]
    pub(super) wait: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) keyring: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kubeconfig: Option<PathBuf>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_context: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = go::check_int)]
    pub(super) burst_limit: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = go::check_float)]
    pub(super) qps: Option<String>,
    #[arg(long, alias = "colour", env = "HELM_COLOR", hide = true, allow_hyphen_values = true)]
    pub(super) color: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_apiserver: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_as_group: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_as_user: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_ca_file: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_tls_server_name: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(super) kube_token: Option<String>,
    #[command(flatten)]
    pub(super) switches: UnusedSwitches,
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
        server_side [hide = true],
        kube_insecure_skip_tls_verify [hide = true],
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;

    #[test]
    fn the_last_of_a_repeated_flag_counts() {
        let command = Args::augment_args(clap::Command::new("template"));
        let words = "template x -n a -n b --no-hooks --no-hooks=false --set a=1 --set b=2".split(' ');
        let args = Args::from_arg_matches(&command.get_matches_from(words)).unwrap();
        assert_eq!(args.release.namespace, "b");
        assert!(!args.output.switches.no_hooks);
        assert_eq!(args.values.set, ["a=1", "b=2"]);
    }
}
