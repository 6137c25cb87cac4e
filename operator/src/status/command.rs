//! The commands that a status names.

use rototo_api::names::ANNOTATION_USER;

/// The command that sets an annotation of a workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnnotateCommand {
    /// The namespace of the workspace.
    pub(crate) namespace: String,
    /// The name of the workspace.
    pub(crate) name: String,
    /// True if the value has to name the user.
    pub(crate) signs: bool,
}

impl AnnotateCommand {
    /// Returns the command that sets this annotation to this value.
    pub(crate) fn setting(&self, annotation: &str, value: &str) -> String {
        let Self { namespace, name, signs } = self;
        // The API server's name of the user is asked for when the command runs.
        let value = if *signs {
            format!("\"{value}{ANNOTATION_USER}$(kubectl auth whoami -o jsonpath={{.status.userInfo.username}})\"")
        } else if value.contains(' ') {
            format!("'{value}'")
        } else {
            value.to_owned()
        };
        format!("kubectl annotate rototoworkspace {name} -n {namespace} --overwrite {annotation}={value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_quotes_its_value_and_names_the_user_where_that_is_verified() {
        let command = |signs| AnnotateCommand { namespace: "shop".to_owned(), name: "checkout".to_owned(), signs };
        let start = "kubectl annotate rototoworkspace checkout -n shop --overwrite a=";
        assert_eq!(command(false).setting("a", "4d123d6"), format!("{start}4d123d6"));
        assert_eq!(command(false).setting("a", "hold 4d123d6"), format!("{start}'hold 4d123d6'"));
        assert_eq!(
            command(true).setting("a", "hold 4d123d6"),
            format!("{start}\"hold 4d123d6 user=$(kubectl auth whoami -o jsonpath={{.status.userInfo.username}})\"")
        );
    }
}
