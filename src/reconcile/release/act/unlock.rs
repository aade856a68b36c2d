//! Unlock: a revision that a crash left pending is marked as failed, so that a new one can follow.

use helm::release::Status as RecordStatus;

use super::{Acted, Error, Recording, Work};
use crate::reconcile::release::{recall::UNLOCKED, record};

impl Work<'_> {
    /// Marks the newest revision as failed, if it is pending.
    pub async fn unlock(&self) -> Acted {
        let mut acted = Acted::new(Recording::Kept, None);
        let result = self.try_unlock(&mut acted).await;
        acted.ended(result)
    }

    async fn try_unlock(&self, acted: &mut Acted) -> Result<(), Error> {
        let Some((mut pending, _)) = self.read(&self.release_name(), None).await? else { return Ok(()) };
        let state = pending.info.status;
        if !state.is_pending() {
            return Ok(());
        }
        acted.pending = Some((record::snapshot(&pending), state.as_str()));
        pending.info.status = RecordStatus::Failed;
        pending.info.description = format!("{UNLOCKED}{}' state", state.as_str());
        self.update(&pending, acted).await
    }
}
