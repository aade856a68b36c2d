//! Leases: our own leader election, and those of Flux's controllers, beside which we do not work.

use std::time::Duration;

use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};

/// The Lease that replicas of this program compete for.
pub const LEASE: &str = "bowline-leader-election";

/// The Leases of the controllers that do what this program does.
pub const FLUX_LEASES: [&str; 3] =
    ["source-controller-leader-election", "kustomize-controller-leader-election", "helm-controller-leader-election"];

/// A Lease could not be read or taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot set up leader election in namespace {namespace}")]
    Election {
        namespace: String,
        #[source]
        source: Box<kube_lease_manager::LeaseManagerError>,
    },
    #[error("cannot read the leases of namespace {namespace}")]
    Read {
        namespace: String,
        #[source]
        source: kube::Error,
    },
}

/// Leadership: whether this process has it, and the task that keeps it. Dropping `leads` gives the Lease back.
pub struct Election {
    pub leads: watch::Receiver<bool>,
    pub task: JoinHandle<Result<LeaseManager, kube_lease_manager::LeaseManagerError>>,
}

/// Starts to compete for the Lease; it is renewed well before `duration` (whole seconds, at least 5) is over.
pub async fn elect(client: Client, namespace: &str, duration: Duration) -> Result<Election, Error> {
    let seconds = duration.as_secs().max(5);
    let failed = |source| Error::Election { namespace: namespace.to_owned(), source: Box::new(source) };
    let manager = LeaseManagerBuilder::new(client, LEASE)
        .with_namespace(namespace)
        .with_duration(seconds)
        .with_grace((seconds / 3).max(1))
        .build()
        .await
        .map_err(failed)?;
    let (leads, task) = manager.watch().await;
    Ok(Election { leads, task })
}

/// Returns the names of Flux's controllers that are at work in a namespace: those whose Lease was renewed within its
/// duration.
pub async fn flux_at_work(client: &Client, namespace: &str, now: Timestamp) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Read { namespace: namespace.to_owned(), source };
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut live = Vec::new();
    for name in FLUX_LEASES {
        if let Some(lease) = api.get_opt(name).await.map_err(failed)?
            && is_live(&lease, now)
        {
            live.push(name.trim_end_matches("-leader-election").to_owned());
        }
    }
    Ok(live)
}

fn is_live(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let held = spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty());
    let (Some(renewed), Some(seconds)) = (&spec.renew_time, spec.lease_duration_seconds) else { return false };
    held && now.duration_since(renewed.0).as_secs() < i64::from(seconds)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};

    use super::*;

    fn lease(holder: &str, renewed: i64) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(35),
            renew_time: Timestamp::from_second(renewed).ok().map(MicroTime),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn a_lease_is_live_while_held_and_renewed() {
        let now = Timestamp::from_second(1000).unwrap();
        assert!(is_live(&lease("pod", 990), now));
        assert!(!is_live(&lease("pod", 960), now), "not renewed in time");
        assert!(!is_live(&lease("", 990), now), "given back");
        assert!(!is_live(&Lease::default(), now));
    }
}
