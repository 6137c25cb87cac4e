//! The labels, annotations, object names, and paths that the operator and its clients must spell alike.
//!
//! ```
//! use rototo_api::names;
//!
//! assert_eq!(names::workspace_label("degradation"), "workspace.rototo.dev/degradation");
//! assert_eq!(names::fleet_path("shop", "degradation"), "/v1/namespaces/shop/workspaces/degradation/fleet");
//! ```

/// The environment variable that gives a process the name of its container, and marks the container as one whose
/// processes follow a workspace.
pub const CONTAINER_VARIABLE: &str = "ROTOTO_CONTAINER";

/// The ConfigMap with the markers, one per namespace.
pub const MARKERS: &str = "rototo-markers";

/// The label that marks the ConfigMap of the markers.
pub const LABEL_MARKERS: &str = "rototo.dev/markers";
/// The label that names the program that manages an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`LABEL_MANAGED_BY`] on what the operator writes.
pub const OPERATOR: &str = "rototo-operator";
/// The prefix of the label `workspace.rototo.dev/<workspace>` on a pod: its processes follow that workspace.
pub const LABEL_WORKSPACE_PREFIX: &str = "workspace.rototo.dev/";

/// The annotation of the ConfigMap with the address at which the operator serves snapshots and takes reports.
pub const ANNOTATION_SNAPSHOTS: &str = "rototo.dev/snapshots";
/// The annotation of the ConfigMap with the PEM certificates against which the certificate of that address is checked.
pub const ANNOTATION_CA: &str = "rototo.dev/ca";
/// The annotation of the ConfigMap with `<namespace>/<release>` of the install that owns it. No other install writes
/// it.
pub const ANNOTATION_INSTALL: &str = "rototo.dev/install";
/// The annotation of the ConfigMap with the time at which an operator took it over from an earlier leader. A write that
/// the earlier one decided on names an earlier version of the ConfigMap, so the API server refuses it from then on.
pub const ANNOTATION_LEADER_SINCE: &str = "rototo.dev/leader-since";
/// The annotation of a `RototoWorkspace` whose every new value requests a reconcile now.
pub const ANNOTATION_RECONCILE: &str = "rototo.dev/reconcile-requested-at";

/// The annotation of a `RototoWorkspace` that allows one revision to remove more than half of the published variables.
/// Its value is `REVISION` or `REVISION user=NAME`.
pub const ANNOTATION_ALLOW_SHRINK: &str = "rototo.dev/allow-shrink";

/// The annotation of a `RototoWorkspace` that publishes one revision without a rehearsal, or although a process refuses
/// it. Its value is `REVISION` or `REVISION user=NAME`.
pub const ANNOTATION_PUBLISH_ANYWAY: &str = "rototo.dev/publish-anyway";

/// The annotation of a `RototoWorkspace` with what a person asks for about one rollout: `ACTION REVISION of=NAME user=USER`,
/// and `step=N` before the user after `promote`, to go on by one step. NAME is that of the announced publish. The user is
/// everything after ` user=`.
pub const ANNOTATION_ROLLOUT: &str = "rototo.dev/rollout";

/// The separator before the user in the values of [`ANNOTATION_ALLOW_SHRINK`], [`ANNOTATION_PUBLISH_ANYWAY`], and
/// [`ANNOTATION_ROLLOUT`]. The admission policy of the chart splits them at its first occurrence as well.
pub const ANNOTATION_USER: &str = " user=";

/// The annotation of a Secret with the hosts to which the operator may send it, separated by commas, each with its port
/// where the source has one. Without it, the source of the workspace decides.
pub const ANNOTATION_HOSTS: &str = "rototo.dev/hosts";

/// The audience of the tokens that the operator's endpoint accepts.
pub const AUDIENCE: &str = "rototo";
/// The API group of `RototoWorkspace`, and of the subresources that grants name.
pub const GROUP: &str = "rototo.dev";
/// The name of the resource in the paths of the Kubernetes API.
pub const PLURAL: &str = "rototoworkspaces";
/// The subresource whose `get` allows reading snapshots.
pub const SUBRESOURCE_SNAPSHOT: &str = "snapshot";
/// The subresource whose `create` allows reporting.
pub const SUBRESOURCE_FLEET: &str = "fleet";

/// Returns the label of the pods that follow `workspace`.
#[must_use]
pub fn workspace_label(workspace: &str) -> String {
    format!("{LABEL_WORKSPACE_PREFIX}{workspace}")
}

/// Returns the path of a snapshot below the operator's address.
#[must_use]
pub fn snapshot_path(namespace: &str, workspace: &str, fingerprint: &str) -> String {
    format!("/v1/namespaces/{namespace}/workspaces/{workspace}/snapshots/{fingerprint}")
}

/// Returns the path that takes reports, below the operator's address.
#[must_use]
pub fn fleet_path(namespace: &str, workspace: &str) -> String {
    format!("/v1/namespaces/{namespace}/workspaces/{workspace}/fleet")
}

/// Returns the path that answers whether a publish has converged, below the operator's address.
#[must_use]
pub fn convergence_path(namespace: &str, workspace: &str) -> String {
    format!("/v1/namespaces/{namespace}/workspaces/{workspace}/convergence")
}
