//! What a person sees first, and what a log says first.

use crate::{
    admin::{self, FirstAdmin},
    assemble::Assembled,
    options::{LogFormat, ServeOptions},
    tls::Certificates,
};
use runner::sandbox::{Sandbox, Support};
use runs::jobs::Jobs;
use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    path::Path,
    time::Duration,
};

/// What is worth saying once the server is ready.
pub(crate) struct Greeting<'a> {
    /// As started.
    pub(crate) options: &'a ServeOptions,
    /// The application.
    pub(crate) assembled: &'a Assembled,
    /// The address for clients.
    pub(crate) url: &'a str,
    /// The data directory.
    pub(crate) dir: &'a Path,
    /// What protects connections.
    pub(crate) certificates: Option<&'a Certificates>,
    /// On a first start.
    pub(crate) admin: Option<&'a FirstAdmin>,
    /// From the start until ready.
    pub(crate) took: Duration,
}

impl Greeting<'_> {
    /// To a person when one is there to read it, else to the log. The token's text is for a person alone.
    pub(crate) fn say(&self) {
        let support = Sandbox::support();
        let person = self.options.log_format == LogFormat::Text && std::io::stderr().is_terminal();
        if person {
            let _ = std::io::stderr().lock().write_all(self.page(&support).as_bytes());
        } else {
            self.log(&support);
        }
        if let Err(why) = &self.assembled.engine
            && self.capacity() > 0
        {
            tracing::error!("runs cannot start: {why}");
        }
    }

    fn capacity(&self) -> u32 {
        self.assembled.app.area::<Jobs>().capacity
    }

    fn engine(&self) -> String {
        match &self.assembled.engine {
            Ok(Some(engine)) => format!("{} {} ({})", engine.tool, engine.version, engine.path.display()),
            Ok(None) => "none yet; OpenTofu is downloaded by the first run that needs it".to_owned(),
            Err(_) => "none".to_owned(),
        }
    }

    fn page(&self, support: &[Support]) -> String {
        let mut page = format!(
            "\n  Ferroform {}  {}  (ready in {} ms)\n\n",
            env!("CARGO_PKG_VERSION"),
            self.url,
            self.took.as_millis()
        );
        let mut line = |name: &str, text: &str| {
            let _ = writeln!(page, "  {name:<12} {text}");
        };
        line("data", &format!("{} ({})", self.dir.display(), self.assembled.app.db.engine()));
        line("engine", &self.engine());
        line("runners", &self.capacity().to_string());
        line("sandbox", &sandbox(support));
        match self.certificates.map(Certificates::authority) {
            None => line("TLS", "off"),
            Some(None) => {}
            Some(Some(authority)) => line("trust", &format!("export SSL_CERT_FILE={}", authority.display())),
        }
        if let Some(admin) = self.admin {
            line("admin token", &self.dir.join(admin::FILE).display().to_string());
            if !admin.preset {
                line("", &format!("{}  (shown this once)", admin.token.expose()));
            }
            line("sign in", &format!("ferroform user link admin --data-dir {}", self.dir.display()));
        }
        line("next", "ferroform push --help, or terraform login");
        page.push('\n');
        page
    }

    fn log(&self, support: &[Support]) {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            url = self.url,
            data_dir = %self.dir.display(),
            database = self.assembled.app.db.engine(),
            runners = self.capacity(),
            engine = %self.engine(),
            ready_ms = self.took.as_millis(),
            "serving"
        );
        for missing in support.iter().filter(|support| !support.available) {
            tracing::warn!(protection = missing.name, "{}", missing.detail);
        }
        if let Some(authority) = self.certificates.and_then(Certificates::authority) {
            tracing::info!(path = %authority.display(), "clients must trust this certificate authority");
        }
        if let Some(admin) = self.admin {
            let (path, how) = (self.dir.join(admin::FILE), if admin.preset { "preset" } else { "made" });
            tracing::info!(path = %path.display(), how, "the first site admin's token is in this file");
        }
    }
}

fn sandbox(support: &[Support]) -> String {
    let names = |available| -> Vec<_> {
        support.iter().filter(|s| s.available == available).map(|s| s.name).collect()
    };
    let (has, lacks) = (names(true), names(false));
    match (has.is_empty(), lacks.is_empty()) {
        (false, true) => has.join(", "),
        (false, false) => format!("{}; without {} (see ferroform doctor)", has.join(", "), lacks.join(", ")),
        (true, _) => "none: runs are not confined (see ferroform doctor)".to_owned(),
    }
}
