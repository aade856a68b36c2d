//! The reasons of conditions and events, as Flux writes them.

// Common to all kinds.

/// What was wanted has been reached.
pub const SUCCEEDED: &str = "Succeeded";
/// What was wanted could not be done.
pub const FAILED: &str = "Failed";
/// Work has begun.
pub const PROGRESSING: &str = "Progressing";
/// An error occurred and is tried again.
pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
/// The object, or one it needs, is suspended.
pub const SUSPENDED: &str = "Suspended";
/// A dependency is not ready.
pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
/// The reconcile succeeded.
pub const RECONCILIATION_SUCCEEDED: &str = "ReconciliationSucceeded";
/// The reconcile failed.
pub const RECONCILIATION_FAILED: &str = "ReconciliationFailed";
/// A CEL expression of the spec does not compile.
pub const INVALID_CEL_EXPRESSION: &str = "InvalidCELExpression";
/// The spec uses what a feature gate keeps off.
pub const FEATURE_GATE_DISABLED: &str = "FeatureGateDisabled";
/// A reference to another namespace is not allowed.
pub const ACCESS_DENIED: &str = "AccessDenied";
/// The spec uses a field that is not acted on, and that decides where, as whom or what is applied.
pub const UNSUPPORTED_FIELD: &str = "UnsupportedField";
/// An object did not become healthy.
pub const HEALTH_CHECK_FAILED: &str = "HealthCheckFailed";
/// A newer revision ended the wait for health.
pub const HEALTH_CHECK_CANCELED: &str = "HealthCheckCanceled";
/// The artifact could not be read.
pub const ARTIFACT_FAILED: &str = "ArtifactFailed";
/// The source has no artifact for its present spec.
pub const SOURCE_NOT_READY: &str = "SourceNotReady";
/// A path is not valid.
pub const INVALID_PATH: &str = "InvalidPath";
/// A URL is not valid.
pub const INVALID_URL: &str = "InvalidURL";
/// Plain HTTP is not allowed.
pub const INSECURE_CONNECTIONS_DISALLOWED: &str = "InsecureConnectionsDisallowed";
/// The protocol is not supported.
pub const UNSUPPORTED_CONNECTION_TYPE: &str = "UnsupportedConnectionType";

// HelmRelease.

/// The install succeeded.
pub const INSTALL_SUCCEEDED: &str = "InstallSucceeded";
/// The install failed.
pub const INSTALL_FAILED: &str = "InstallFailed";
/// The upgrade succeeded.
pub const UPGRADE_SUCCEEDED: &str = "UpgradeSucceeded";
/// The upgrade failed.
pub const UPGRADE_FAILED: &str = "UpgradeFailed";
/// The tests succeeded.
pub const TEST_SUCCEEDED: &str = "TestSucceeded";
/// A test failed.
pub const TEST_FAILED: &str = "TestFailed";
/// The rollback succeeded.
pub const ROLLBACK_SUCCEEDED: &str = "RollbackSucceeded";
/// The rollback failed.
pub const ROLLBACK_FAILED: &str = "RollbackFailed";
/// The uninstall succeeded.
pub const UNINSTALL_SUCCEEDED: &str = "UninstallSucceeded";
/// The uninstall failed.
pub const UNINSTALL_FAILED: &str = "UninstallFailed";
/// Objects of the release were changed by others.
pub const DRIFT_DETECTED: &str = "DriftDetected";
/// Objects of the release are as they were applied.
pub const NO_DRIFT_DETECTED: &str = "NoDriftDetected";
/// Drift was put right.
pub const DRIFT_CORRECTED: &str = "DriftCorrected";
/// Drift could not be put right.
pub const DRIFT_CORRECTION_FAILED: &str = "DriftCorrectionFailed";
/// The values could not be composed.
pub const VALUES_ERROR: &str = "ValuesError";
/// The chart could not be given its version metadata.
pub const CHART_MUTATE_ERROR: &str = "ChartMutateError";
/// The client for the release's identity could not be made.
pub const REST_CLIENT_ERROR: &str = "RESTClientError";
/// The objects of the release could not be handled.
pub const RESOURCE_MANAGER_ERROR: &str = "ResourceManagerError";
/// The access to the release storage could not be set up.
pub const FACTORY_ERROR: &str = "FactoryError";
/// The access to the release storage could not be configured.
pub const CONFIG_FACTORY_ERR: &str = "ConfigFactoryErr";
/// The state of the release could not be told.
pub const STATE_ERROR: &str = "StateError";
/// The release could not be reconciled.
pub const RECONCILE_ERROR: &str = "ReconcileError";
/// A pending release of an interrupted action was unlocked.
pub const PENDING_RELEASE: &str = "PendingRelease";
/// The tests have not run yet.
pub const AWAITING_TESTS: &str = "AwaitingTests";
/// No more retries are left.
pub const RETRIES_EXCEEDED: &str = "RetriesExceeded";
/// There is no earlier release to roll back to.
pub const MISSING_ROLLBACK_TARGET: &str = "MissingRollbackTarget";
/// The HelmChart was created.
pub const HELM_CHART_CREATED: &str = "HelmChartCreated";
/// The HelmChart was changed.
pub const HELM_CHART_CONFIGURED: &str = "HelmChartConfigured";
/// The HelmChart was deleted.
pub const HELM_CHART_DELETED: &str = "HelmChartDeleted";
/// The HelmChart could not be written.
pub const HELM_CHART_SYNC_ERR: &str = "HelmChartSyncErr";
/// The inventory could not be made.
pub const INVENTORY_BUILD_FAILED: &str = "InventoryBuildFailed";
/// The scope of an object could not be told.
pub const NAMESPACE_CHECK_SKIPPED: &str = "NamespaceCheckSkipped";

// Sources.

/// The URL is not valid.
pub const URL_INVALID: &str = "URLInvalid";
/// The credentials are missing or were refused.
pub const AUTHENTICATION_FAILED: &str = "AuthenticationFailed";
/// The signature could not be verified.
pub const VERIFICATION_ERROR: &str = "VerificationError";
/// A folder could not be made.
pub const DIRECTORY_CREATION_FAILED: &str = "DirectoryCreationFailed";
/// A file could not be looked at.
pub const STAT_OPERATION_FAILED: &str = "StatOperationFailed";
/// A file could not be read.
pub const READ_OPERATION_FAILED: &str = "ReadOperationFailed";
/// A lock could not be taken.
pub const ACQUIRE_LOCK_FAILED: &str = "AcquireLockFailed";
/// The artifact could not be packed.
pub const ARCHIVE_OPERATION_FAILED: &str = "ArchiveOperationFailed";
/// The link to the latest artifact could not be set.
pub const SYMLINK_UPDATE_FAILED: &str = "SymlinkUpdateFailed";
/// The stored artifact is that of the source.
pub const ARTIFACT_UP_TO_DATE: &str = "ArtifactUpToDate";
/// The cache could not be used.
pub const CACHE_OPERATION_FAILED: &str = "CacheOperationFailed";
/// An object could not be patched.
pub const PATCH_OPERATION_FAILED: &str = "PatchOperationFailed";
/// The token service's configuration is not valid.
pub const INVALID_STS_CONFIGURATION: &str = "InvalidSTSConfiguration";
/// The provider's configuration is not valid.
pub const INVALID_PROVIDER_CONFIGURATION: &str = "InvalidProviderConfiguration";
/// The repository was read.
pub const GIT_OPERATION_SUCCEEDED: &str = "GitOperationSucceeded";
/// The repository could not be read.
pub const GIT_OPERATION_FAILED: &str = "GitOperationFailed";
/// The chart was pulled.
pub const CHART_PULL_SUCCEEDED: &str = "ChartPullSucceeded";
/// The chart was packaged.
pub const CHART_PACKAGE_SUCCEEDED: &str = "ChartPackageSucceeded";
/// The repository's index could not be read.
pub const INDEXATION_FAILED: &str = "IndexationFailed";
/// The OCI artifact could not be pulled.
pub const OCI_ARTIFACT_PULL_FAILED: &str = "OCIArtifactPullFailed";
/// The layer of the OCI artifact could not be read.
pub const OCI_ARTIFACT_LAYER_OPERATION_FAILED: &str = "OCIArtifactLayerOperationFailed";
/// The bucket was read.
pub const BUCKET_OPERATION_SUCCEEDED: &str = "BucketOperationSucceeded";
/// The bucket could not be read.
pub const BUCKET_OPERATION_FAILED: &str = "BucketOperationFailed";
/// A new artifact was stored.
pub const NEW_ARTIFACT: &str = "NewArtifact";
/// A new chart was found.
pub const NEW_CHART: &str = "NewChart";
/// A new revision was found.
pub const NEW_REVISION: &str = "NewRevision";
/// The chart's source has no artifact.
pub const NO_SOURCE_ARTIFACT: &str = "NoSourceArtifact";
/// The chart's source is not there.
pub const SOURCE_UNAVAILABLE: &str = "SourceUnavailable";
/// The values files could not be merged.
pub const VALUES_FILES_ERROR: &str = "ValuesFilesError";
/// An ignore file could not be read.
pub const SOURCE_IGNORE_ERROR: &str = "SourceIgnoreError";
/// The chart could not be packaged.
pub const CHART_PACKAGE_ERROR: &str = "ChartPackageError";
/// The signature of the chart could not be verified.
pub const CHART_VERIFICATION_ERROR: &str = "ChartVerificationError";
/// The artifact could not be stored.
pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
/// Old artifacts were deleted.
pub const GARBAGE_COLLECTION_SUCCEEDED: &str = "GarbageCollectionSucceeded";
/// Old artifacts could not be deleted.
pub const GARBAGE_COLLECTION_FAILED: &str = "GarbageCollectionFailed";

// Kustomization.

/// Objects could not be pruned.
pub const PRUNE_FAILED: &str = "PruneFailed";
/// The manifests could not be read.
pub const BUILD_FAILED: &str = "BuildFailed";
