//! `ferroform audit`: checks and exports the audit trail, on the server's machine.

use crate::{
    boot::Failure,
    commands::{ServerArgs, note, say},
};
use http_api::audit::verify::{export, verify};
use kernel::Timestamp;
use serde_json::json;
use std::io::Write;

/// `ferroform audit`
#[derive(clap::Args, Clone, Debug)]
pub struct AuditArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum AuditCommand {
    /// Check that no entry was altered, removed or put in; fails with the first that was
    Verify,
    /// Write entries to standard output, one JSON object a line
    Export {
        /// Only those made at this time or later, such as 2026-01-31 or 2026-01-31T10:00:00Z
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        since: Option<Timestamp>,
    },
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let day = format!("{text}T00:00:00Z");
    Timestamp::parse(text).or_else(|| Timestamp::parse(&day)).ok_or_else(|| {
        "expected a date, or a date and time with an offset, such as 2026-01-31T10:00:00Z".to_owned()
    })
}

/// Runs `audit`.
///
/// # Errors
/// With a sentence for the operator; also when the trail is broken.
pub async fn audit(args: AuditArgs) -> Result<(), Failure> {
    let app = args.server.open().await?;
    match args.command {
        AuditCommand::Verify => {
            let verdict = verify(&app).await?;
            if args.server.json {
                let broken = verdict.broken.map(|(entry, why)| json!({ "entry": entry, "why": why }));
                say(&json!({ "entries": verdict.entries, "broken": broken }).to_string());
            }
            match verdict.broken {
                Some((entry, why)) => {
                    Err(format!("the audit trail is broken at entry {entry}: {why}").into())
                }
                None if args.server.json => Ok(()),
                None => {
                    note(&format!("the audit trail is whole: {} entries", verdict.entries));
                    Ok(())
                }
            }
        }
        AuditCommand::Export { since } => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            let mut line = |value: &serde_json::Value| writeln!(out, "{value}");
            export(&app, since, &mut line).await?;
            out.flush()?;
            Ok(())
        }
    }
}
