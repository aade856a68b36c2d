//! Metrics under the names of Flux and controller-runtime, so that dashboards go on working.

use std::{sync::Mutex, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: String,
    result: &'static str,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// The process's metrics.
pub struct Metrics {
    registry: Mutex<Registry>,
    durations: Durations<ObjectLabels>,
    times: Durations<ControllerLabels>,
    results: Family<ResultLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    panics: Family<ControllerLabels, Counter>,
    leader: Gauge,
    resident_bytes: Gauge,
}

/// Buckets from 10 ms to 30 min, as Flux's `gotk_reconcile_duration_seconds`.
fn flux_buckets() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets_range(0.01, 1800.0, 10))
}

/// controller-runtime's buckets of `controller_runtime_reconcile_time_seconds`.
fn runtime_buckets() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
        1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let durations: Durations<ObjectLabels> = Family::new_with_constructor(flux_buckets);
        let times: Durations<ControllerLabels> = Family::new_with_constructor(runtime_buckets);
        let results: Family<ResultLabels, Counter> = Family::default();
        let errors: Family<ControllerLabels, Counter> = Family::default();
        let panics: Family<ControllerLabels, Counter> = Family::default();
        let (leader, resident_bytes): (Gauge, Gauge) = (Gauge::default(), Gauge::default());
        registry.register(
            "gotk_reconcile_duration_seconds",
            "The duration in seconds of a reconcile of an object",
            durations.clone(),
        );
        registry.register("controller_runtime_reconcile_time_seconds", "Length of time per reconcile", times.clone());
        registry.register("controller_runtime_reconcile", "Number of reconciles by result", results.clone());
        registry.register("controller_runtime_reconcile_errors", "Number of failed reconciles", errors.clone());
        registry.register("controller_runtime_reconcile_panics", "Number of panics in reconciles", panics.clone());
        registry.register("leader_election_master_status", "1 where this process holds the lease", leader.clone());
        registry.register("process_resident_memory_bytes", "Resident memory size in bytes", resident_bytes.clone());
        Self { registry: Mutex::new(registry), durations, times, results, errors, panics, leader, resident_bytes }
    }
}

impl Metrics {
    /// Records one run of an object's reconcile.
    pub fn reconciled(&self, kind: &str, namespace: &str, name: &str, took: Duration, failed: bool) {
        let (kind, controller) = (kind.to_owned(), kind.to_lowercase());
        let labels = ObjectLabels { kind, name: name.to_owned(), namespace: namespace.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = ControllerLabels { controller: controller.clone() };
        self.times.get_or_create(&labels).observe(took.as_secs_f64());
        if failed {
            self.errors.get_or_create(&labels).inc();
        }
        let result = if failed { "error" } else { "success" };
        self.results.get_or_create(&ResultLabels { controller, result }).inc();
    }

    /// Forgets an object that is gone, so that its series do not stay.
    pub fn forget(&self, kind: &str, namespace: &str, name: &str) {
        self.durations.remove(&ObjectLabels {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        });
    }

    /// Counts a run that ended by a panic.
    pub fn panicked(&self, kind: &str) {
        self.panics.get_or_create(&ControllerLabels { controller: kind.to_lowercase() }).inc();
    }

    /// Says whether this process is the leader.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Writes all metrics in the `OpenMetrics` text form.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.set(bytes);
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Reads the process's resident memory; none where the system has no `/proc`.
fn resident_bytes() -> Option<i64> {
    const PAGE: i64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<i64>().ok().map(|pages| pages * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_that_dashboards_ask_for() {
        let metrics = Metrics::default();
        metrics.reconciled("HelmRelease", "apps", "ui", Duration::from_millis(20), false);
        metrics.reconciled("HelmRelease", "apps", "ui", Duration::from_millis(20), true);
        metrics.panicked("HelmRelease");
        let text = metrics.encode().expect("text");
        for line in [
            r#"gotk_reconcile_duration_seconds_count{kind="HelmRelease",name="ui",namespace="apps"} 2"#,
            r#"controller_runtime_reconcile_total{controller="helmrelease",result="success"} 1"#,
            r#"controller_runtime_reconcile_errors_total{controller="helmrelease"} 1"#,
            r#"controller_runtime_reconcile_panics_total{controller="helmrelease"} 1"#,
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
        metrics.forget("HelmRelease", "apps", "ui");
        assert!(!metrics.encode().expect("text").contains("gotk_reconcile_duration_seconds_count{"));
    }
}
