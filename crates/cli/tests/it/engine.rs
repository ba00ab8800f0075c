//! A real engine in a folder of its own.

use std::{
    path::Path,
    process::{Command, Output},
};

/// A folder with a configuration, initialised.
pub(crate) struct Engine(tempfile::TempDir);

impl Engine {
    /// Writes `main.tf` and runs `init`.
    pub(crate) fn new(configuration: &str) -> Self {
        let engine = Self(tempfile::tempdir().unwrap());
        engine.write(configuration);
        let init = engine.run(&["init", "-no-color"]);
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        engine
    }

    /// Replaces the configuration.
    pub(crate) fn write(&self, configuration: &str) {
        std::fs::write(self.path().join("main.tf"), configuration).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs the engine with a clean environment.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let program = std::env::var("FERROFORM_TEST_ENGINE").unwrap_or_else(|_| "terraform".to_owned());
        Command::new(&program)
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .output()
            .unwrap_or_else(|e| panic!("{program}: {e}; put terraform on PATH or set FERROFORM_TEST_ENGINE"))
    }

    /// Runs the engine and returns what it prints, whether it succeeds or not.
    pub(crate) fn print(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args).stdout).unwrap()
    }

    /// The plan file's JSON document with the schemas that it uses, as a server stores it.
    pub(crate) fn document(&self, plan: &str) -> serde_json::Value {
        let mut document: serde_json::Value =
            serde_json::from_str(&self.print(&["show", "-json", plan])).unwrap();
        let schemas: serde_json::Value =
            serde_json::from_str(&self.print(&["providers", "schema", "-json"])).unwrap();
        document["provider_schemas"] = schemas["provider_schemas"].clone();
        document
    }
}
