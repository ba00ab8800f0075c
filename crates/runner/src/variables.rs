//! How a job's variables reach the engine: variables files for input variables, the environment for the rest.
//!
//! Files beat `TF_VAR_` and `*.auto.tfvars`, and of several files the last wins, so the workspace's variables come first
//! then the run's own, and those with priority last. Plain strings go into a JSON file, where nothing in them means anything; HCL values go into a
//! file of assignments after a check that each is one expression ([`crate::hcl`]). No value is ever part of a command line,
//! which every process of the machine can read. Source: `semantics.md` §5.3.

use crate::{
    hcl,
    job::{Category, Job, Variable},
};
use std::collections::BTreeMap;

/// The engine's own settings, which a run cannot change without losing its state or its output.
const RESERVED: [&str; 5] =
    ["TF_WORKSPACE", "TF_DATA_DIR", "TF_INPUT", "TF_IN_AUTOMATION", "TF_FORCE_LOCAL_BACKEND"];

/// A variable that cannot be handed to the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error(
        "variable {0:?} is marked as HCL, but its name is not an HCL identifier: rename it, or clear the HCL mark"
    )]
    Name(String),
    #[error(
        "variable {0:?} is not one HCL expression: {1}. A text value needs quotes, or the HCL mark to be cleared"
    )]
    Expression(String, hcl::Stray),
    #[error("run variable {0:?} is not one HCL expression: {1}. A text value needs quotes")]
    RunExpression(String, hcl::Stray),
    #[error("run variable {0:?}: the name is not an HCL identifier")]
    RunName(String),
    #[error("environment variable {0:?} has a zero byte in its name or value, which no process can be given")]
    Zero(String),
}

/// Variables files in the order in which they are given to the engine: name and content.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// The input variables of a job as files. With `only`, those keys alone.
pub(crate) fn files(job: &Job, only: Option<&[String]>) -> Result<Files, Invalid> {
    let wanted = |key: &str| only.is_none_or(|only| only.iter().any(|name| name == key));
    let given = |priority: bool| {
        let input = job.variables.iter().filter(|variable| variable.category == Category::Terraform);
        input.filter(move |variable| variable.priority == priority && wanted(&variable.key))
    };
    let mut of_the_run = BTreeMap::new();
    for (key, value) in job.run_variables.iter().filter(|(key, _)| wanted(key)) {
        if !hcl::is_identifier(key) {
            return Err(Invalid::RunName(key.clone()));
        }
        hcl::one_expression(value).map_err(|stray| Invalid::RunExpression(key.clone(), stray))?;
        of_the_run.insert(key.as_str(), value.as_str());
    }
    let mut files = of_sets(given(false), ["ws.tfvars.json", "ws_hcl.tfvars"])?;
    if !of_the_run.is_empty() {
        files.push(("run.tfvars", assignments(&of_the_run)));
    }
    files.extend(of_sets(given(true), ["priority.tfvars.json", "priority_hcl.tfvars"])?);
    Ok(files)
}

/// Variables as a file of plain strings and one of expressions, as far as there are any.
fn of_sets<'a>(
    variables: impl Iterator<Item = &'a Variable>,
    [plain_file, hcl_file]: [&'static str; 2],
) -> Result<Files, Invalid> {
    let mut plain = BTreeMap::new();
    let mut expressions = BTreeMap::new();
    for variable in variables {
        let (key, value) = (variable.key.as_str(), variable.value.expose().as_str());
        if !variable.hcl {
            plain.insert(key, value);
            continue;
        }
        if !hcl::is_identifier(key) {
            return Err(Invalid::Name(key.to_owned()));
        }
        hcl::one_expression(value).map_err(|stray| Invalid::Expression(key.to_owned(), stray))?;
        expressions.insert(key, value);
    }
    let mut files = Files::new();
    if !plain.is_empty() {
        files.push((plain_file, serde_json::to_vec(&plain).expect("a map of strings is JSON")));
    }
    if !expressions.is_empty() {
        files.push((hcl_file, assignments(&expressions)));
    }
    Ok(files)
}

fn assignments(values: &BTreeMap<&str, &str>) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in values {
        text.extend([*key, " = ", *value, "\n"]);
    }
    text.into_bytes()
}

/// What a job adds to the engine's environment.
#[derive(Default)]
pub(crate) struct Environment {
    /// Names and values, each name once.
    pub(crate) variables: BTreeMap<String, String>,
    /// `-parallelism`, when the workspace sets it.
    pub(crate) parallelism: Option<u16>,
    /// Tokens of hosts whose names cannot be part of an environment variable's name: host and token.
    pub(crate) credentials: Vec<(String, String)>,
    /// Lines for the log about what was left out.
    pub(crate) notes: Vec<String>,
}

/// The environment of a job: the user's variables, then what the run is told about itself.
pub(crate) fn environment(job: &Job) -> Result<Environment, Invalid> {
    let mut environment = Environment::default();
    for variable in job.variables.iter().filter(|variable| variable.category == Category::Env) {
        let (key, value) = (variable.key.as_str(), variable.value.expose().as_str());
        if key.contains('\0') || value.contains('\0') {
            return Err(Invalid::Zero(key.to_owned()));
        }
        environment.take(key, value);
    }
    let slug = format!("{}/{}", job.organization, job.workspace);
    let facts = [
        ("TFC_RUN_ID", job.run.as_str()),
        ("TFC_WORKSPACE_ID", job.workspace_id.as_str()),
        ("TFC_WORKSPACE_NAME", &job.workspace),
        ("TFC_WORKSPACE_SLUG", &slug),
        ("TFC_PROJECT_NAME", &job.project),
        ("TFC_CONFIGURATION_VERSION_GIT_BRANCH", ""),
        ("TFC_CONFIGURATION_VERSION_GIT_COMMIT_SHA", ""),
        ("TFC_CONFIGURATION_VERSION_GIT_TAG", ""),
    ];
    for (key, value) in facts {
        environment.variables.insert(key.to_owned(), value.to_owned());
        // The twin lets a configuration read it as an input variable.
        environment.variables.insert(format!("TF_VAR_{key}"), value.to_owned());
    }
    environment.variables.insert("TFE_RUN_ID".to_owned(), job.run.to_string());
    if job.debugging {
        environment.variables.insert("TF_LOG".to_owned(), "TRACE".to_owned());
    }
    Ok(environment)
}

impl Environment {
    fn take(&mut self, key: &str, value: &str) {
        if key == "TFE_PARALLELISM" {
            match value.trim().parse() {
                Ok(n @ 1..=256) => self.parallelism = Some(n),
                _ => self.note(key, "it is not a number from 1 to 256"),
            }
        } else if is_reserved(key) {
            self.note(key, "the name is reserved");
        } else if is_shell_name(key) {
            self.variables.insert(key.to_owned(), value.to_owned());
        } else if let Some(host) = key.strip_prefix("TF_TOKEN_") {
            self.take_token(host, key, value);
        } else {
            // The shell between us and the engine passes on only names that it could use itself.
            self.note(key, "the name may have only letters, digits and underscores, and no digit first");
        }
    }

    fn take_token(&mut self, host: &str, key: &str, value: &str) {
        let name = format!("TF_TOKEN_{}", host.replace('-', "__").replace('.', "_"));
        let clean =
            |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        if is_shell_name(&name) {
            self.variables.insert(name, value.to_owned());
        } else if clean(host, "-._:") && clean(value, "-._~+/=") {
            let host = host.replace("__", "-").replace('_', ".");
            self.credentials.push((host, value.to_owned()));
        } else {
            self.note(key, "what follows TF_TOKEN_ is not a host name");
        }
    }

    fn note(&mut self, key: &str, why: &str) {
        self.notes.push(format!("Environment variable {key:?} was left out: {why}."));
    }
}

/// Whether a name is not for the user to set. Tokens of the run's identity come with the job's variables.
fn is_reserved(key: &str) -> bool {
    let ours = key.starts_with("TFC_") || key.starts_with("TFE_") || RESERVED.contains(&key);
    ours && !key.starts_with("TFC_WORKLOAD_IDENTITY_TOKEN")
}

fn is_shell_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    fn variable(key: &str, value: &str, category: Category, hcl: bool) -> Variable {
        Variable { key: key.into(), value: value.into(), category, hcl, sensitive: false, priority: false }
    }

    #[test]
    fn strings_are_json_and_expressions_are_assignments_with_the_runs_own_last() {
        let mut job = job();
        job.variables = vec![
            variable("a\"b", "${x}\n$(y)", Category::Terraform, false),
            variable("list", "[1,\n2]", Category::Terraform, true),
        ];
        job.run_variables = vec![("a".into(), "\"1\"".into())];
        let files = files(&job, None).unwrap();
        let texts: Vec<_> =
            files.iter().map(|(name, bytes)| (*name, str::from_utf8(bytes).unwrap())).collect();
        assert_eq!(
            texts,
            [
                ("ws.tfvars.json", r#"{"a\"b":"${x}\n$(y)"}"#),
                ("ws_hcl.tfvars", "list = [1,\n2]\n"),
                ("run.tfvars", "a = \"1\"\n")
            ]
        );
    }

    #[test]
    fn what_has_priority_comes_after_the_runs_own() {
        let mut job = job();
        job.variables = vec![
            Variable { priority: true, ..variable("a", "set", Category::Terraform, false) },
            variable("b", "1", Category::Terraform, true),
        ];
        job.run_variables = vec![("a".into(), "\"run\"".into())];
        let files = files(&job, None).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["ws_hcl.tfvars", "run.tfvars", "priority.tfvars.json"]);
    }

    #[test]
    fn an_expression_that_reaches_further_is_refused() {
        let mut job = job();
        job.variables = vec![variable("a", "1\nb = 2", Category::Terraform, true)];
        assert!(matches!(files(&job, None), Err(Invalid::Expression(..))));
        job.variables = vec![variable("a = 1\nb", "1", Category::Terraform, true)];
        assert!(matches!(files(&job, None), Err(Invalid::Name(_))));
    }

    #[test]
    fn reserved_names_are_left_out_and_the_log_says_so() {
        let mut job = job();
        job.variables = vec![
            variable("TFC_RUN_ID", "forged", Category::Env, false),
            variable("TF_DATA_DIR", "/x", Category::Env, false),
            variable("TF_CLI_ARGS_plan", "-compact-warnings", Category::Env, false),
            variable("TFE_PARALLELISM", "3", Category::Env, false),
            variable("TF_TOKEN_a.example-b.org", "t", Category::Env, false),
            variable("TF_TOKEN_localhost:8443", "t", Category::Env, false),
            variable("odd name", "x", Category::Env, false),
        ];
        let environment = environment(&job).unwrap();
        assert_eq!(environment.variables["TFC_RUN_ID"], job.run.as_str());
        assert_eq!(environment.variables["TF_VAR_TFC_RUN_ID"], job.run.as_str());
        assert_eq!(environment.variables["TF_CLI_ARGS_plan"], "-compact-warnings");
        assert_eq!(environment.variables["TF_TOKEN_a_example__b_org"], "t");
        assert_eq!(environment.parallelism, Some(3));
        assert_eq!(environment.credentials, [("localhost:8443".to_owned(), "t".to_owned())]);
        assert_eq!(environment.notes.len(), 3, "{:?}", environment.notes);
        assert!(!environment.variables.contains_key("TF_DATA_DIR"));
    }
}
