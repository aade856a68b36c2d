//! Test: the chart's test hooks, as many as the filters select.

use helm::hook::Event;

use super::{Acted, Error, Recording, Work};
use crate::{
    api::HelmReleaseStatus,
    reconcile::release::{
        history, record,
        target::{self, ActionKind},
    },
};

impl Work<'_> {
    /// Runs the chart's tests.
    pub async fn test(&self, status: &HelmReleaseStatus) -> Acted {
        let mut acted = Acted::new(Recording::Kept, None);
        let result = self.try_test(status, &mut acted).await;
        acted.ended(result)
    }

    async fn try_test(&self, status: &HelmReleaseStatus, acted: &mut Acted) -> Result<(), Error> {
        let current = history::latest(&status.history).ok_or(Error::NothingToTest)?;
        let Some((mut release, _)) = self.read(&current.name, None).await? else {
            return Err(Error::NoDeployedRelease(current.name.clone()));
        };
        if release.version != current.version {
            let found = format!("{}/{}.v{}", release.namespace, release.name, release.version);
            return Err(Error::Mismatch(found, target::versioned_release(current)));
        }
        let settings = self.object.spec.test.clone().unwrap_or_default();
        let timeout = target::timeout(&self.object, ActionKind::Test);
        let selected = |hook: &helm::hook::Hook| record::is_selected(&hook.name, &settings.filters);
        let result = self.run_hooks(&mut release, &Event::Test, timeout, acted, selected).await;
        if result.is_err() {
            acted.secrets.learn_record(&release);
        }
        self.update(&release, acted).await?;
        if let Some(snapshot) = acted.snapshots.get_mut(&release.version) {
            snapshot.test_hooks = Some(record::test_hooks(&release, &settings.filters));
        }
        result.map_err(super::hooks_failed)
    }
}
