//! How the objects of a revision are written: server-side or client-side, taken over from who wrote them before, made anew
//! where a field cannot be changed and force was asked for.

use std::{collections::HashMap, fmt, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use kube::Client;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::objects::{Owner, Resource, marked};
use crate::{
    api::meta::HELM_FIELD_MANAGER,
    cluster::{
        apply::{self, Applied, ApplyError, ApplyMethod, ApplyOptions, Change, Deletion, Propagation, Target},
        client_side::{self, Base},
        managed_fields,
        object::ObjectId,
        request::{self, Tries},
        wait::{self, WaitTarget},
    },
};

/// How many objects of one kind are written at one time. Kinds follow one another, as their order asks for.
const WRITES_AT_ONCE: usize = 8;

/// What is known of objects before they are written.
#[derive(Clone, Debug)]
pub enum Before<'a> {
    /// They must not be there, where that can be told.
    Nothing,
    /// They are new; `takes` tells whether objects of others are taken.
    New {
        /// Whether ownership is taken.
        takes: bool,
    },
    /// They follow those of the last revision.
    Last(HashMap<&'a ObjectId, &'a Value>),
}

impl<'a> Before<'a> {
    /// Says that objects follow those of a revision.
    pub fn last(resources: &'a [Resource]) -> Self {
        Self::Last(resources.iter().map(|resource| (&resource.target.id, &*resource.tree)).collect())
    }

    fn base(&self, id: &ObjectId) -> Base<'a> {
        match self {
            Self::Nothing => Base::None,
            Self::New { takes } => Base::Taken { live: *takes },
            Self::Last(last) => last.get(id).map_or(Base::Taken { live: false }, |tree| Base::Last(tree)),
        }
    }

    /// Tells whether the last revision has an object, so that it is probably there.
    fn has(&self, id: &ObjectId) -> bool {
        matches!(self, Self::Last(last) if last.contains_key(id))
    }
}

/// How long an object that is made anew may take to go.
#[derive(Clone, Debug)]
pub struct Force<'a> {
    pub timeout: Duration,
    pub shutdown: &'a CancellationToken,
}

/// How objects are written.
#[derive(Clone)]
pub struct Writing<'a> {
    pub client: &'a Client,
    pub method: ApplyMethod,
    /// The release that objects are marked with; hooks and definitions are written as they are.
    pub owner: Option<&'a Owner>,
    pub before: Before<'a>,
    /// Take over first what Helm wrote client-side, so that what the manifest has not any more goes.
    pub migrates: bool,
    /// Client-side, replace objects as a whole rather than patch them.
    pub replaces: bool,
    /// Delete objects of which a field cannot be changed, and make them anew.
    pub force: Option<Force<'a>>,
}

/// What was applied: the objects as they are now, and which of them were not there before.
#[derive(Debug, Default)]
pub struct Outcome {
    pub written: Vec<WaitTarget>,
    pub created: Vec<Target>,
}

/// An object that was not applied. The text is Helm's.
#[derive(Debug)]
pub struct Refused {
    pub error: ApplyError,
    gvk: String,
    method: ApplyMethod,
    /// An upgrade was to make it: it was not there.
    is_new: bool,
    /// The upgrade could make it anew, and was not asked to.
    hints: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_hints())?;
        let fields = self.error.immutable_fields();
        if let (true, ApplyError::Refused { id, .. }) = (self.hints && !fields.is_empty(), &self.error) {
            let named: Vec<_> = fields.into_iter().filter(|field| *field != ".").collect();
            let what = if named.is_empty() { "part".to_owned() } else { named.join(", ") };
            write!(f, "; {what} of {id} cannot be changed: with force the object is deleted and made anew")?;
        }
        Ok(())
    }
}

impl Refused {
    /// Returns Helm's text alone.
    fn without_hints(&self) -> String {
        let new = if self.is_new { NEW } else { "" };
        format!("{new}{}", self.reason())
    }

    fn reason(&self) -> String {
        let (id, action, source) = match &self.error {
            ApplyError::Refused { id, action, source } => (id, *action, source),
            ApplyError::Patch { source, .. } => return format!("failed to create patch: {source}"),
            other => return other.to_string(),
        };
        let (gvk, message) = (&self.gvk, request::message_of(source));
        let place = format!("{}/{}", id.namespace, id.name);
        match (action, self.method) {
            ("apply", _) if request::status_of(source).is_some_and(|status| status.code == 409) => {
                format!("conflict occurred while applying object {place} {gvk}: {message}")
            }
            ("apply", _) => format!("server-side apply failed for object {place} {gvk}: {message}"),
            ("patch", ApplyMethod::ServerSide) => {
                format!("failed to patch object to upgrade CSA field manager {place} {gvk}: {message}")
            }
            ("patch", ApplyMethod::ClientSide) => {
                format!("cannot patch \"{}\" with kind {}: {message}", id.name, id.kind)
            }
            ("replace", _) => format!("failed to replace object: {message}"),
            ("query", _) => format!("could not get information about the resource: {message}"),
            _ => message,
        }
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// Objects that were not applied, in their order.
#[derive(Debug)]
pub struct NotApplied {
    pub refused: Vec<Refused>,
    joint: &'static str,
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, refused) in self.refused.iter().enumerate() {
            let joint = if at == 0 { "" } else { self.joint };
            write!(f, "{joint}{refused}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NotApplied {}

impl NotApplied {
    /// Returns Helm's text alone.
    pub fn without_hints(&self) -> String {
        self.refused.iter().map(Refused::without_hints).collect::<Vec<_>>().join(self.joint)
    }
}

/// What Helm says before the error of an object that an upgrade was to make.
const NEW: &str = "failed to create resource: ";

/// Tells whether other objects would go with an object.
fn holds_others(target: &Target) -> bool {
    matches!(target.id.kind.as_str(), "CustomResourceDefinition" | "Namespace")
}

impl Writing<'_> {
    /// Writes objects in their order, several of one kind at a time. All are tried, but for those after an object that an
    /// upgrade was to make and could not; what was done is in `outcome`.
    pub async fn all(&self, resources: &[Resource], outcome: &mut Outcome) -> Result<(), NotApplied> {
        let mut refused = Vec::new();
        for group in resources.chunk_by(|a, b| a.target.kind == b.target.kind) {
            let writes: Vec<_> = group.iter().map(|resource| self.one(resource).boxed()).collect();
            let mut writes = stream::iter(writes).buffered(WRITES_AT_ONCE).zip(stream::iter(group));
            while let Some((applied, resource)) = writes.next().await {
                let Applied { change, object, warnings } = match applied {
                    Ok(applied) => applied,
                    Err(error) => {
                        let is_new = self.is_upgrade() && self.is_absent(&resource.target).await;
                        refused.push(self.refused(&resource.target, error, is_new));
                        continue;
                    }
                };
                for warning in warnings {
                    tracing::warn!(object = %resource.target.id, warning, "the API server warns");
                }
                if change == Change::Created {
                    outcome.created.push(resource.target.clone());
                }
                outcome.written.push(WaitTarget { target: resource.target.clone(), known: Some(object) });
            }
            if refused.iter().any(|refused| refused.is_new) {
                break;
            }
        }
        self.not_applied(refused)
    }

    /// Asks the API server what it would say of an object, and returns that where it refuses the object for what it is.
    pub async fn probe(&self, resource: &Resource) -> Option<Refused> {
        let target = &resource.target;
        let tree = self.owner.map_or_else(|| (*resource.tree).clone(), |owner| marked(&resource.tree, owner));
        let asked = match self.method {
            ApplyMethod::ServerSide => {
                let options = ApplyOptions { dry_run: true, ..ApplyOptions::helm(HELM_FIELD_MANAGER) };
                apply::apply(self.client, target, &tree, options, None).await
            }
            ApplyMethod::ClientSide => client_side::probe(self.client, target, &tree, HELM_FIELD_MANAGER).await,
        };
        let is_new = self.is_upgrade() && !self.before.has(&target.id);
        asked.err().filter(ApplyError::is_invalid).map(|error| self.refused(target, error, is_new))
    }

    /// Makes an error of objects that were refused.
    pub fn not_applied(&self, refused: Vec<Refused>) -> Result<(), NotApplied> {
        let joint = if self.is_upgrade() { " && " } else { "\n" };
        if refused.is_empty() { Ok(()) } else { Err(NotApplied { refused, joint }) }
    }

    /// Tells whether an object is not there, as far as that can be told.
    async fn is_absent(&self, target: &Target) -> bool {
        matches!(apply::get_metadata(self.client, target).await, Ok(None))
    }

    fn is_upgrade(&self) -> bool {
        matches!(self.before, Before::Last(_))
    }

    fn refused(&self, target: &Target, error: ApplyError, is_new: bool) -> Refused {
        let api = &target.kind.api;
        Refused {
            error,
            gvk: format!("{}/{}, Kind={}", api.group, api.version, api.kind),
            method: self.method,
            is_new,
            hints: self.is_upgrade() && self.force.is_none(),
        }
    }

    async fn one(&self, resource: &Resource) -> Result<Applied, ApplyError> {
        let target = &resource.target;
        let marked = self.owner.map(|owner| marked(&resource.tree, owner));
        let tree = marked.as_ref().unwrap_or(&*resource.tree);
        match (self.once(target, tree).await, &self.force) {
            (Err(error), Some(force)) if !error.immutable_fields().is_empty() && !holds_others(target) => {
                self.anew(target, tree, force).await
            }
            (done, _) => done,
        }
    }

    async fn once(&self, target: &Target, tree: &Value) -> Result<Applied, ApplyError> {
        match self.method {
            ApplyMethod::ServerSide => self.server_side(target, tree).await,
            ApplyMethod::ClientSide if self.replaces => {
                client_side::replace(self.client, target, tree, HELM_FIELD_MANAGER).await
            }
            ApplyMethod::ClientSide => {
                client_side::apply(self.client, target, tree, self.before.base(&target.id), HELM_FIELD_MANAGER).await
            }
        }
    }

    async fn server_side(&self, target: &Target, tree: &Value) -> Result<Applied, ApplyError> {
        if self.migrates && self.before.has(&target.id) {
            self.take_over(target, None).await?;
        }
        let options = ApplyOptions::helm(HELM_FIELD_MANAGER);
        let applied = apply::apply(self.client, target, tree, options, None).await?;
        if self.owner.is_none() || applied.change == Change::Created {
            return Ok(applied);
        }
        // Seen only now that Helm wrote it in another way too: what that left would stay for ever.
        if self.take_over(target, Some(&applied.object)).await? {
            return apply::apply(self.client, target, tree, options, None).await;
        }
        Ok(applied)
    }

    /// Makes ours what Helm's other managers own of an object; tells whether there was anything.
    async fn take_over(&self, target: &Target, known: Option<&Value>) -> Result<bool, ApplyError> {
        let managers = managed_fields::helm_managers(HELM_FIELD_MANAGER);
        let mut known = known.cloned();
        let mut tries = Tries::new();
        loop {
            let live = match known.take() {
                Some(known) => known,
                None => match apply::get_metadata(self.client, target).await? {
                    Some(live) => live,
                    None => return Ok(false),
                },
            };
            let Some(patch) = managed_fields::take_over(&live, &managers, HELM_FIELD_MANAGER) else { return Ok(false) };
            match apply::json_patch(self.client, target, &patch, HELM_FIELD_MANAGER).await {
                Ok(_) => return Ok(true),
                Err(error) if error.status().is_some_and(|status| status.code == 409) && tries.another().await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes an object and makes it anew when it is gone.
    async fn anew(&self, target: &Target, tree: &Value, force: &Force<'_>) -> Result<Applied, ApplyError> {
        tracing::info!(object = %target.id, "a field cannot be changed: the object is made anew");
        if let Deletion::Pending(tree) = apply::delete(self.client, target, Propagation::Background, None).await? {
            let going = WaitTarget { target: target.clone(), known: Some(tree) };
            // What is still there when the time is up refuses the write, and says why.
            let _ = wait::gone(self.client, vec![going], force.timeout, force.shutdown).await;
        }
        match self.method {
            ApplyMethod::ServerSide => self.server_side(target, tree).await,
            ApplyMethod::ClientSide => client_side::create(self.client, target, tree, HELM_FIELD_MANAGER).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(action: &'static str, method: ApplyMethod, code: u16, message: &str) -> Refused {
        let id = ObjectId { group: "apps".into(), kind: "Deployment".into(), namespace: "n".into(), name: "d".into() };
        let source = kube::Error::Api(Status::failure(message, "Invalid").with_code(code).boxed());
        let error = ApplyError::Refused { id, action, source };
        Refused { error, gvk: "apps/v1, Kind=Deployment".into(), method, is_new: false, hints: false }
    }

    #[test]
    fn a_refusal_is_told_in_helms_words() {
        use ApplyMethod::{ClientSide, ServerSide};
        for (action, method, code, text) in [
            ("apply", ServerSide, 422, "server-side apply failed for object n/d apps/v1, Kind=Deployment: m"),
            ("apply", ServerSide, 409, "conflict occurred while applying object n/d apps/v1, Kind=Deployment: m"),
            ("patch", ClientSide, 422, "cannot patch \"d\" with kind Deployment: m"),
            ("create", ClientSide, 422, "m"),
            ("replace", ClientSide, 422, "failed to replace object: m"),
            ("query", ClientSide, 403, "could not get information about the resource: m"),
        ] {
            assert_eq!(refused(action, method, code, "m").to_string(), text);
        }
    }

    #[test]
    fn several_refusals_are_joined_and_a_way_out_is_named() {
        let text = "spec.selector: field is immutable";
        let mut first = refused("patch", ApplyMethod::ClientSide, 422, text);
        first.hints = true;
        let mut second = refused("create", ApplyMethod::ClientSide, 403, "no");
        second.is_new = true;
        let both = NotApplied { refused: vec![first, second], joint: " && " };
        assert_eq!(
            both.to_string(),
            "cannot patch \"d\" with kind Deployment: spec.selector: field is immutable; part of Deployment/n/d cannot be \
             changed: with force the object is deleted and made anew && failed to create resource: no"
        );
    }
}
