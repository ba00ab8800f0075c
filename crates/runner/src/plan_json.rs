//! The plan as JSON: what it counts to, and the redacted form that the command line draws its diff from.
//!
//! `show -json` tells everything, secrets included, and only those who may read state may see it. Everybody who may see
//! a run gets the redacted document: the changes, with every value that the engine marked sensitive replaced, and the
//! provider schemas that are needed to draw them. Its contract, with `cloud` in Terraform and OpenTofu:
//!
//! - `plan_format_version`, `resource_changes`, `resource_drift`, `output_changes`, `relevant_attributes`,
//!   `provider_format_version`, `provider_schemas`; `deferred_changes` and `action_invocations` where the plan has them.
//! - A schema for every type that occurs: the command line panics without one. Where the engine gave none, an empty one.
//! - A sensitive value becomes a string, whatever its type. Equal values become equal strings, or a changed secret
//!   would be drawn as unchanged; the string is keyed with a key that is thrown away, so that nobody can try guesses
//!   against it. `null` stays: whether there is a value at all is drawn, and is no secret.
//! - Ours alone, and passed over by the command line: `resource_dependencies` (which resources of the configuration refer
//!   to which, by address) and `checks` (conditions, with the messages of those that do not hold).
//!
//! Values are never parsed into trees: they are passed on as the text they came as, numbers exactly so, and a plan of
//! thousands of changes costs a few scans of its text.
//!
//! Source: `internal/command/jsonformat` and `internal/cloud/testdata/*/plan-redacted.json` of Terraform and OpenTofu.
//! Reading order: [`summary`], [`redact`], `Redactor`, `Schemas`, `dependencies`.

mod dependencies;

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{
    Deserialize,
    de::{self, IgnoredAny},
};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// What a plan would do, counted as the engine's last line (`Plan: 1 to import, 2 to add, …`) counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether applying the plan would do anything: to resources, outputs, or (a move, a refresh) only to the state.
    pub has_changes: bool,
    /// Resources to create; a replaced one counts here and among the destroyed.
    pub additions: u32,
    /// Resources to change in place.
    pub changes: u32,
    /// Resources to destroy; those only forgotten do not count.
    pub destructions: u32,
    /// Resources to import.
    pub imports: u32,
    /// Whether the plan holds configuration generated for imported resources.
    pub generated_configuration: bool,
}

/// Why a document could not be read. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum PlanJsonError {
    /// The plan is not what `show -json` prints.
    #[error("the plan's JSON cannot be read ({0}): the engine may be too new or too old for this server")]
    Plan(serde_json::Error),
    /// The schemas are not what `providers schema -json` prints.
    #[error(
        "the providers' schemas cannot be read ({0}): the engine may be too new or too old for this server"
    )]
    Schemas(serde_json::Error),
}

/// Counts the changes of a plan, given as the output of `show -json`.
///
/// # Errors
/// When it is no such output.
pub fn summary(plan: &[u8]) -> Result<Summary, PlanJsonError> {
    #[derive(Deserialize)]
    struct Plan<'a> {
        format_version: IgnoredAny,
        applyable: Option<bool>,
        #[serde(default, borrow)]
        resource_changes: Vec<Resource<'a>>,
        #[serde(default)]
        resource_drift: Vec<IgnoredAny>,
        #[serde(default, borrow)]
        output_changes: BTreeMap<String, Change<'a>>,
        #[serde(default)]
        action_invocations: Vec<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Resource<'a> {
        #[serde(default)]
        mode: String,
        address: String,
        previous_address: Option<String>,
        #[serde(borrow)]
        change: Change<'a>,
    }
    #[derive(Deserialize)]
    struct Change<'a> {
        #[serde(default, borrow)]
        actions: Vec<&'a str>,
        importing: Option<IgnoredAny>,
        generated_config: Option<IgnoredAny>,
    }
    impl Change<'_> {
        fn acts(&self) -> bool {
            self.actions != ["no-op"]
        }
    }

    let plan: Plan<'_> = serde_json::from_slice(plan).map_err(PlanJsonError::Plan)?;
    let IgnoredAny = plan.format_version;
    let mut summary = Summary::default();
    let mut acting = !plan.action_invocations.is_empty() || plan.output_changes.values().any(Change::acts);
    for Resource { mode, address, previous_address, change } in &plan.resource_changes {
        let moved = previous_address.as_ref().is_some_and(|previous| previous != address);
        acting |= moved || change.importing.is_some() || change.acts();
        summary.imports += u32::from(change.importing.is_some());
        summary.generated_configuration |= change.generated_config.is_some();
        if mode == "managed" {
            summary.additions += u32::from(change.actions.contains(&"create"));
            summary.changes += u32::from(change.actions.contains(&"update"));
            summary.destructions += u32::from(change.actions.contains(&"delete"));
        }
    }
    // Engines that do not say whether a plan is applyable list no resources in refresh-only mode, where drift is what
    // would be applied. Otherwise drift is for information only.
    acting |= plan.resource_changes.is_empty() && !plan.resource_drift.is_empty();
    summary.has_changes = plan.applyable.unwrap_or(acting);
    Ok(summary)
}

/// The redacted document, from the outputs of `show -json` and `providers schema -json`.
///
/// # Errors
/// When either is no such output.
pub fn redact(plan: &[u8], schemas: &[u8]) -> Result<Vec<u8>, PlanJsonError> {
    let fields: Object<'_> = serde_json::from_slice(plan).map_err(PlanJsonError::Plan)?;
    let empty = |text| serde_json::from_str::<&RawValue>(text).expect("a literal of this file is JSON");
    let (list, map, string) = (empty("[]"), empty("{}"), empty("\"\""));
    let field = |name: &str, absent| fields.get(name).filter(|raw| raw.get() != "null").unwrap_or(absent);

    let mut redactor = Redactor::new(plan.len() / 2);
    redactor.open('{');
    redactor.raw("plan_format_version", field("format_version", string));
    redactor.resources("resource_changes", field("resource_changes", list)).map_err(PlanJsonError::Plan)?;
    redactor.resources("resource_drift", field("resource_drift", list)).map_err(PlanJsonError::Plan)?;
    redactor.outputs("output_changes", field("output_changes", map)).map_err(PlanJsonError::Plan)?;
    redactor.raw("relevant_attributes", field("relevant_attributes", list));
    for (name, rewrite) in [
        ("deferred_changes", Redactor::deferred as fn(&mut _, &RawValue) -> _),
        ("action_invocations", Redactor::action),
    ] {
        if let Some(value) = fields.get(name) {
            redactor.key(name);
            redactor.list(value, rewrite).map_err(PlanJsonError::Plan)?;
        }
    }
    redactor
        .dependencies(fields.get("configuration"), fields.get("prior_state"))
        .map_err(PlanJsonError::Plan)?;
    if let Some(checks) = fields.get("checks") {
        redactor.raw("checks", checks);
    }
    let schemas: Schemas<'_> = serde_json::from_slice(schemas).map_err(PlanJsonError::Schemas)?;
    redactor.raw("provider_format_version", schemas.format_version.unwrap_or(string));
    redactor.schemas(&schemas).map_err(PlanJsonError::Schemas)?;
    redactor.close('}');
    Ok(redactor.out.into_bytes())
}

/// A JSON object whose values are left as text. Keys keep their quotes and escapes.
struct Object<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The value of a key without escapes.
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let is =
            |key: &RawValue| key.get().strip_prefix('"').and_then(|key| key.strip_suffix('"')) == Some(name);
        self.0.iter().find(|(key, _)| is(key)).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Result<String, serde_json::Error> {
        self.get(name).map_or_else(|| Ok(String::new()), |raw| serde_json::from_str(raw.get()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(field) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The types of one provider that occur in the plan: which of its schemas are needed, by the schemas' JSON key.
type Used = BTreeMap<&'static str, BTreeSet<String>>;

/// Writes the document.
struct Redactor {
    out: String,
    key: hmac::Key,
    used: BTreeMap<String, Used>,
}

impl Redactor {
    fn new(size: usize) -> Self {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .expect("the operating system's generator does not fail after boot");
        Self {
            out: String::with_capacity(size),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            used: BTreeMap::new(),
        }
    }

    /// Separates what follows from what came before it at the same depth.
    fn separate(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with(['{', '[', ':']) {
            self.out.push(',');
        }
    }

    fn open(&mut self, bracket: char) {
        self.separate();
        self.out.push(bracket);
    }

    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
    }

    fn key(&mut self, name: &str) {
        self.separate();
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    /// A value, or a key with its colon, as it is.
    fn text(&mut self, text: &str) {
        self.separate();
        self.out.push_str(text);
    }

    fn raw_key(&mut self, key: &RawValue) {
        self.text(key.get());
        self.out.push(':');
    }

    fn raw(&mut self, name: &str, value: &RawValue) {
        self.key(name);
        self.text(value.get());
    }

    fn list(
        &mut self,
        raw: &RawValue,
        item: fn(&mut Self, &RawValue) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        self.open('[');
        for value in serde_json::from_str::<Vec<&RawValue>>(raw.get())? {
            item(self, value)?;
        }
        self.close(']');
        Ok(())
    }

    /// A copy of an object in which some fields are rewritten.
    fn object(
        &mut self,
        fields: &Object<'_>,
        mut rewrite: impl FnMut(&mut Self, &str, &RawValue) -> serde_json::Result<bool>,
    ) -> serde_json::Result<()> {
        self.open('{');
        for (key, value) in &fields.0 {
            self.raw_key(key);
            if !rewrite(self, key.get().trim_matches('"'), value)? {
                self.text(value.get());
            }
        }
        self.close('}');
        Ok(())
    }

    fn resources(&mut self, name: &str, raw: &RawValue) -> serde_json::Result<()> {
        self.key(name);
        self.list(raw, Self::resource)
    }

    fn resource(&mut self, raw: &RawValue) -> serde_json::Result<()> {
        let fields: Object<'_> = serde_json::from_str(raw.get())?;
        let kind = if fields.text("mode")? == "data" { "data_source_schemas" } else { "resource_schemas" };
        self.uses(&fields, kind)?;
        self.object(&fields, |this, key, value| match key {
            "change" => this.change(value).map(|()| true),
            _ => Ok(false),
        })
    }

    fn uses(&mut self, fields: &Object<'_>, kind: &'static str) -> serde_json::Result<()> {
        let provider = self.used.entry(fields.text("provider_name")?).or_default();
        provider.entry(kind).or_default().insert(fields.text("type")?);
        Ok(())
    }

    fn deferred(&mut self, raw: &RawValue) -> serde_json::Result<()> {
        let fields: Object<'_> = serde_json::from_str(raw.get())?;
        self.object(&fields, |this, key, value| match key {
            "resource_change" => this.resource(value).map(|()| true),
            _ => Ok(false),
        })
    }

    fn action(&mut self, raw: &RawValue) -> serde_json::Result<()> {
        let fields: Object<'_> = serde_json::from_str(raw.get())?;
        self.uses(&fields, "action_schemas")?;
        self.object(&fields, |this, key, value| match key {
            "config_values" => this.value(value, fields.get("config_sensitive")).map(|()| true),
            _ => Ok(false),
        })
    }

    fn outputs(&mut self, name: &str, raw: &RawValue) -> serde_json::Result<()> {
        self.key(name);
        let fields: Object<'_> = serde_json::from_str(raw.get())?;
        self.object(&fields, |this, _, value| this.change(value).map(|()| true))
    }

    fn change(&mut self, raw: &RawValue) -> serde_json::Result<()> {
        let fields: Object<'_> = serde_json::from_str(raw.get())?;
        self.object(&fields, |this, key, value| match key {
            "before" => this.value(value, fields.get("before_sensitive")).map(|()| true),
            "after" => this.value(value, fields.get("after_sensitive")).map(|()| true),
            _ => Ok(false),
        })
    }

    /// A value without what its mask marks. The mask has the value's shape, with `true` for all that is below it.
    fn value(&mut self, value: &RawValue, mask: Option<&RawValue>) -> serde_json::Result<()> {
        let text = value.get();
        // A mask without any `true` marks nothing; one with it, if only as part of a name, is looked at closely.
        let Some(mask) = mask.map(RawValue::get).filter(|mask| mask.contains("true")) else {
            self.text(text);
            return Ok(());
        };
        match (text.as_bytes().first(), mask.as_bytes().first()) {
            (Some(b'n'), _) => self.text(text),
            (Some(b'{'), Some(b'{')) => {
                let masks: BTreeMap<&str, &RawValue> = keyed(mask)?;
                let fields: Object<'_> = serde_json::from_str(text)?;
                self.open('{');
                for (key, value) in &fields.0 {
                    self.raw_key(key);
                    self.value(value, masks.get(key.get()).copied())?;
                }
                self.close('}');
            }
            (Some(b'['), Some(b'[')) => {
                let masks: Vec<&RawValue> = serde_json::from_str(mask)?;
                let values: Vec<&RawValue> = serde_json::from_str(text)?;
                self.open('[');
                for (index, value) in values.iter().enumerate() {
                    self.value(value, masks.get(index).copied())?;
                }
                self.close(']');
            }
            // `true`, or a shape that does not match: better too much than too little.
            _ => self.secret(text),
        }
        Ok(())
    }

    fn secret(&mut self, text: &str) {
        self.separate();
        self.out.push('"');
        for byte in hmac::sign(&self.key, text.as_bytes()).as_ref() {
            write!(self.out, "{byte:02x}").expect("writing to a string does not fail");
        }
        self.out.push('"');
    }

    fn dependencies(
        &mut self,
        configuration: Option<&RawValue>,
        prior_state: Option<&RawValue>,
    ) -> serde_json::Result<()> {
        let found = dependencies::of_plan(configuration, prior_state)?;
        self.key("resource_dependencies");
        self.text(&serde_json::to_string(&found)?);
        Ok(())
    }

    fn schemas(&mut self, schemas: &Schemas<'_>) -> serde_json::Result<()> {
        self.key("provider_schemas");
        self.open('{');
        for (provider, kinds) in std::mem::take(&mut self.used) {
            let quoted = serde_json::to_string(&provider)?;
            let known = schemas.provider_schemas.0.iter().find(|(key, _)| key.get() == quoted);
            let known = known.map(|(_, raw)| serde_json::from_str::<Object<'_>>(raw.get())).transpose()?;
            self.text(&quoted);
            self.out.push(':');
            self.open('{');
            for (kind, types) in kinds {
                let known = known.as_ref().and_then(|known| known.get(kind));
                let known = known.map(|raw| keyed(raw.get())).transpose()?.unwrap_or_default();
                self.key(kind);
                self.open('{');
                for quoted in types.iter().map(serde_json::to_string) {
                    let quoted = quoted?;
                    self.text(&quoted);
                    self.out.push(':');
                    self.text(known.get(quoted.as_str()).map_or(NO_ATTRIBUTES, |raw| raw.get()));
                }
                self.close('}');
            }
            self.close('}');
        }
        self.close('}');
        Ok(())
    }
}

/// The schema of a type that the engine said nothing of.
const NO_ATTRIBUTES: &str = r#"{"version":0,"block":{}}"#;

/// An object by its keys, quotes included.
fn keyed(text: &str) -> serde_json::Result<BTreeMap<&str, &RawValue>> {
    let object: Object<'_> = serde_json::from_str(text)?;
    Ok(object.0.into_iter().map(|(key, value)| (key.get(), value)).collect())
}

/// What `providers schema -json` prints, left as text below the providers.
#[derive(Deserialize)]
struct Schemas<'a> {
    #[serde(borrow)]
    format_version: Option<&'a RawValue>,
    #[serde(default = "Schemas::none", borrow)]
    provider_schemas: Object<'a>,
}

impl<'a> Schemas<'a> {
    fn none() -> Object<'a> {
        Object(Vec::new())
    }
}
