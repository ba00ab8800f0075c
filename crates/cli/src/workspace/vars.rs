//! `ferroform workspace vars`
//!
//! A value `-` is read from standard input, since every process of a machine can read every other's command line.

use crate::{
    desk::Desk,
    failure::Failure,
    place::PlaceArgs,
    render::table::{Table, one_line},
};
use client::{Client, Variable, VariableChange, Workspace};
use serde::Serialize;
use serde_json::json;
use std::io::Read;

/// Bytes of a value that are read; more than any server takes.
const LONGEST_VALUE: u64 = 16 << 20;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct VarsArgs {
    #[command(subcommand)]
    command: Option<VarsCommand>,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum VarsCommand {
    /// List them; sensitive values are never shown
    List,
    /// Make or change variables. VALUE may be - to read it from standard input, which keeps secrets out of process lists
    Set(SetArgs),
    /// Delete variables
    Unset(UnsetArgs),
}

#[derive(clap::Args, Clone, Debug)]
struct SetArgs {
    /// Name and value
    #[arg(value_name = "KEY=VALUE", required = true)]
    assignments: Vec<String>,

    /// An environment variable of the run instead of an input variable of the configuration
    #[arg(long)]
    env: bool,

    /// The value can never be read back. An existing sensitive variable stays so
    #[arg(long)]
    sensitive: bool,

    /// The value is an HCL expression. An existing variable keeps what it was
    #[arg(long, conflicts_with = "env")]
    hcl: bool,

    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

#[derive(clap::Args, Clone, Debug)]
struct UnsetArgs {
    /// Names
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,

    /// Environment variables of the run instead of input variables of the configuration
    #[arg(long)]
    env: bool,
}

/// A variable; members may be added.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    key: &'a str,
    /// Null when sensitive.
    value: Option<&'a str>,
    category: &'a str,
    hcl: bool,
    sensitive: bool,
    description: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(variable: &'a Variable) -> Self {
        Self {
            id: variable.id.as_str(),
            key: &variable.key,
            value: variable.value.as_deref().filter(|_| !variable.sensitive),
            category: &variable.category,
            hcl: variable.hcl,
            sensitive: variable.sensitive,
            description: variable.description.as_deref().filter(|text| !text.is_empty()),
        }
    }
}

pub(super) async fn vars(
    args: &VarsArgs,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    // What was typed is looked at before anybody is asked.
    let assignments = match &args.command {
        Some(VarsCommand::Set(set)) => assignments(set, desk).await?,
        _ => vec![],
    };
    let workspace = super::find(None, place, desk, client).await?;
    match &args.command {
        None | Some(VarsCommand::List) => list(&workspace, desk, client).await,
        Some(VarsCommand::Set(set)) => self::set(set, &assignments, &workspace, desk, client).await,
        Some(VarsCommand::Unset(unset)) => self::unset(unset, &workspace, desk, client).await,
    }
}

async fn list(workspace: &Workspace, desk: &mut Desk, client: &Client) -> Result<(), Failure> {
    let mut found = client.variables(&workspace.id).await?;
    found.sort_by(|a, b| (b.category.as_str(), &a.key).cmp(&(a.category.as_str(), &b.key)));
    let shown: Vec<_> = found.iter().map(Shown::of).collect();
    if shown.is_empty() && !desk.json {
        desk.note(&format!("The workspace {:?} has no variables.", workspace.name));
        return Ok(());
    }
    desk.answer(&shown, |style| {
        let mut table = Table::new(&["KEY", "KIND", "VALUE", "DESCRIPTION"]);
        for variable in &shown {
            let kind = if variable.hcl { "hcl" } else { variable.category };
            let value = match variable.value {
                Some(value) => one_line(value, 60),
                None => style.dim("(sensitive value)"),
            };
            let description = one_line(variable.description.unwrap_or_default(), 60);
            table.row(vec![variable.key.to_owned(), kind.to_owned(), value, description]);
        }
        table.render(style)
    });
    Ok(())
}

/// Splits what was typed, and reads the value that is to come from standard input.
async fn assignments(args: &SetArgs, desk: &mut Desk) -> Result<Vec<(String, String)>, Failure> {
    let wrong = |why: String| Failure::Plain("Bad variable", why);
    let mut found = vec![];
    for assignment in &args.assignments {
        let split = assignment.split_once('=').filter(|(key, _)| !key.trim().is_empty());
        // Not repeated: what has no name may be a secret.
        let (key, value) =
            split.ok_or_else(|| wrong("Write KEY=VALUE; one of the arguments is none.".to_owned()))?;
        found.push((key.trim().to_owned(), value.to_owned()));
    }
    let piped: Vec<usize> = (0..found.len()).filter(|at| found[*at].1 == "-").collect();
    match *piped {
        [] => {
            if args.sensitive {
                desk.warn(
                    "The value stood on the command line",
                    "Other users of this machine may have seen it. KEY=- reads it from standard input.",
                );
            }
        }
        [at] => found[at].1 = piped_value(&found[at].0, desk).await?,
        _ => {
            let why = "Standard input is one value; set one variable with - at a time.";
            return Err(wrong(why.to_owned()));
        }
    }
    Ok(found)
}

/// From a person without showing it, or from a pipe without its last line break.
async fn piped_value(key: &str, desk: &mut Desk) -> Result<String, Failure> {
    let failed = |why: String| Failure::Plain("The value cannot be read", why);
    if desk.world.answers.is_some() {
        let typed = desk.ask_hidden(&format!("Value of {key} (not shown):")).await;
        return typed.ok_or_else(|| failed("Nothing was typed.".to_owned()));
    }
    let mut input = std::mem::replace(&mut desk.world.input, Box::new(std::io::empty()));
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        (&mut input).take(LONGEST_VALUE).read_to_string(&mut text).map(|_| text)
    });
    let text = read.await.map_err(|e| failed(e.to_string()))?;
    let text = text.map_err(|e| failed(format!("Standard input is no text: {e}.")))?;
    let whole = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(whole.unwrap_or(&text).to_owned())
}

fn category(env: bool) -> &'static str {
    if env { "env" } else { "terraform" }
}

async fn set(
    args: &SetArgs,
    assignments: &[(String, String)],
    workspace: &Workspace,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    let there = client.variables(&workspace.id).await?;
    let category = category(args.env);
    let mut done = vec![];
    for (key, value) in assignments {
        let change = VariableChange {
            key: None,
            value: Some(value.clone()),
            category: None,
            hcl: args.hcl.then_some(true),
            sensitive: args.sensitive.then_some(true),
            description: args.description.clone(),
        };
        let old = there.iter().find(|variable| variable.key == *key && variable.category == category);
        let outcome = match old {
            Some(old) => client.update_variable(&workspace.id, &old.id, &change).await,
            None => {
                let new = VariableChange { key: Some(key.clone()), category: Some(category), ..change };
                client.create_variable(&workspace.id, &new).await
            }
        };
        let variable = outcome.map_err(|error| refused(error, workspace))?;
        done.push((variable, old.is_some()));
    }
    if desk.json {
        let shown: Vec<_> = done.iter().map(|(variable, _)| Shown::of(variable)).collect();
        desk.document(&shown);
        return Ok(());
    }
    for (variable, existed) in &done {
        let verb = if *existed { "Changed" } else { "Made" };
        let secret = if variable.sensitive { ", sensitive" } else { "" };
        desk.say(&format!("{verb} {} ({}{secret}).", variable.key, variable.category));
    }
    Ok(())
}

async fn unset(
    args: &UnsetArgs,
    workspace: &Workspace,
    desk: &mut Desk,
    client: &Client,
) -> Result<(), Failure> {
    let there = client.variables(&workspace.id).await?;
    let category = category(args.env);
    // All of them before any.
    let mut found = vec![];
    for key in &args.keys {
        let of_name = || there.iter().filter(|variable| variable.key == *key);
        match of_name().find(|variable| variable.category == category) {
            Some(variable) => found.push(variable),
            None => {
                let advice = match (of_name().next(), args.env) {
                    (Some(_), false) => " There is an environment variable of that name: use --env for it.",
                    (Some(_), true) => " There is an input variable of that name: leave --env out for it.",
                    (None, _) => " `ferroform workspace vars` lists those there are.",
                };
                let kind = if args.env { "environment" } else { "input" };
                let detail = format!("{:?} has no {kind} variable {key:?}.{advice}", workspace.name);
                return Err(Failure::Plain("Variable not found", detail));
            }
        }
    }
    for variable in &found {
        client.delete_variable(&workspace.id, &variable.id).await.map_err(|e| refused(e, workspace))?;
    }
    let keys: Vec<_> = found.iter().map(|variable| &variable.key).collect();
    desk.answer(&json!({"unset": keys}), |_| {
        keys.iter().map(|key| format!("Deleted {key}.")).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

fn refused(error: client::Error, workspace: &Workspace) -> Failure {
    if error.is_not_found() {
        let detail = format!(
            "The token may read the variables of {:?}, but may not change them. Use the token of somebody who may.",
            workspace.name
        );
        return Failure::Plain("The token may not do this", detail);
    }
    error.into()
}
