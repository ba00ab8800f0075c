//! Which resources refer to which, as far as a plan tells: names alone, never a value.
//!
//! A plan's `configuration` says of each expression what it refers to, in the words of its module. Here those are followed
//! through inputs and outputs of modules to resources. What goes through a local value is not told there; of resources that
//! exist already, `prior_state` knows it (`depends_on`), and of those that are not in the configuration any more too.
//! Addresses are those of the configuration: without keys of `count` and `for_each`.

use kernel::address::without_keys;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The resources that each resource refers to.
pub(super) type Dependencies = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Configuration {
    root_module: Module,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Module {
    resources: Vec<Resource>,
    module_calls: BTreeMap<String, Call>,
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Resource {
    address: String,
    #[serde(default)]
    expressions: References,
    #[serde(default)]
    count_expression: References,
    #[serde(default)]
    for_each_expression: References,
    #[serde(default)]
    provisioners: References,
    #[serde(default)]
    depends_on: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Call {
    expressions: BTreeMap<String, References>,
    count_expression: References,
    for_each_expression: References,
    depends_on: Vec<String>,
    module: Module,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Output {
    expression: References,
    depends_on: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PriorState {
    values: PriorValues,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PriorValues {
    root_module: PriorModule,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PriorModule {
    resources: Vec<PriorResource>,
    child_modules: Vec<PriorModule>,
}

#[derive(Deserialize)]
struct PriorResource {
    address: String,
    #[serde(default)]
    depends_on: Vec<String>,
}

/// What expressions refer to, however deep; constants are passed over.
#[derive(Default)]
struct References(Vec<String>);

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut found = Self::default();
        Gather { named: false, found: &mut found.0 }.deserialize(from)?;
        Ok(found)
    }
}

/// Gathers the texts of lists that are named `references`.
struct Gather<'a> {
    named: bool,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Gather<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Gather<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expressions")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == "constant_value" {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Gather { named: key == "references", found: self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Gather { named: self.named, found: self.found })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.named {
            self.found.push(text.to_owned());
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A module where it is called.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// `module.a.module.b.`, empty for the root.
    prefix: &'a str,
    module: &'a Module,
    caller: Option<(&'a Scope<'a>, &'a Call)>,
}

/// Follows what is referred to, once each.
struct Follow<'a> {
    seen: BTreeSet<String>,
    found: &'a mut BTreeSet<String>,
}

impl Follow<'_> {
    fn all<'r>(&mut self, scope: &Scope<'_>, references: impl IntoIterator<Item = &'r String>) {
        for reference in references {
            self.one(scope, reference);
        }
    }

    fn one(&mut self, scope: &Scope<'_>, reference: &str) {
        if !self.seen.insert(format!("{}{reference}", scope.prefix)) {
            return;
        }
        let reference = without_keys(reference);
        let mut parts = reference.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("var"), Some(name), _) => {
                if let Some((caller, call)) = scope.caller
                    && let Some(references) = call.expressions.get(name)
                {
                    self.all(caller, &references.0);
                }
            }
            (Some("module"), Some(name), output) => self.module(scope, name, output),
            (Some("data"), Some(kind), Some(name)) => self.resource(scope, format!("data.{kind}.{name}")),
            (Some(kind), Some(name), _) => self.resource(scope, format!("{kind}.{name}")),
            _ => {}
        }
    }

    fn resource(&mut self, scope: &Scope<'_>, address: String) {
        if scope.module.resources.iter().any(|resource| resource.address == address) {
            self.found.insert(format!("{}{address}", scope.prefix));
        }
    }

    /// An output of a module. Whoever refers to one is said to refer to the module as well, which tells nothing.
    fn module(&mut self, scope: &Scope<'_>, name: &str, output: Option<&str>) {
        let Some(call) = scope.module.module_calls.get(name) else { return };
        let prefix = format!("{}module.{name}.", scope.prefix);
        let inner = Scope { prefix: &prefix, module: &call.module, caller: Some((scope, call)) };
        if let Some(output) = output.and_then(|output| call.module.outputs.get(output)) {
            self.all(&inner, output.expression.0.iter().chain(&output.depends_on));
        }
    }
}

/// The dependencies that a plan tells of, from its `configuration` and its `prior_state`.
pub(super) fn of_plan(
    configuration: Option<&RawValue>,
    prior_state: Option<&RawValue>,
) -> serde_json::Result<Dependencies> {
    let mut all = Dependencies::new();
    if let Some(configuration) = configuration {
        let configuration: Configuration = serde_json::from_str(configuration.get())?;
        let root = Scope { prefix: "", module: &configuration.root_module, caller: None };
        gather(&root, &mut all);
    }
    if let Some(prior) = prior_state {
        let prior: PriorState = serde_json::from_str(prior.get())?;
        remember(prior.values.root_module, &mut all);
    }
    all.retain(|_, others| !others.is_empty());
    Ok(all)
}

fn gather(scope: &Scope<'_>, all: &mut Dependencies) {
    for resource in &scope.module.resources {
        let address = format!("{}{}", scope.prefix, resource.address);
        let mut found = BTreeSet::new();
        let mut follow = Follow { seen: BTreeSet::new(), found: &mut found };
        for references in [
            &resource.expressions,
            &resource.count_expression,
            &resource.for_each_expression,
            &resource.provisioners,
        ] {
            follow.all(scope, &references.0);
        }
        follow.all(scope, &resource.depends_on);
        // What decides how often a module is there, and what it waits for, is so for all that is in it.
        let mut inside = *scope;
        while let Some((caller, call)) = inside.caller {
            follow.all(caller, call.count_expression.0.iter().chain(&call.for_each_expression.0));
            follow.all(caller, &call.depends_on);
            inside = *caller;
        }
        found.remove(&address);
        all.entry(address).or_default().append(&mut found);
    }
    for (name, call) in &scope.module.module_calls {
        let prefix = format!("{}module.{name}.", scope.prefix);
        gather(&Scope { prefix: &prefix, module: &call.module, caller: Some((scope, call)) }, all);
    }
}

fn remember(module: PriorModule, all: &mut Dependencies) {
    for resource in module.resources {
        if resource.depends_on.is_empty() {
            continue;
        }
        let own = without_keys(&resource.address);
        let others = all.entry(own.clone()).or_default();
        others.extend(
            resource.depends_on.iter().map(|other| without_keys(other)).filter(|other| *other != own),
        );
    }
    for child in module.child_modules {
        remember(child, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(configuration: &Value, prior: &Value) -> String {
        let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
        let all = of_plan(Some(&raw(configuration)), Some(&raw(prior))).unwrap();
        let lines = all
            .into_iter()
            .map(|(own, others)| format!("{own} -> {}", others.into_iter().collect::<Vec<_>>().join(", ")));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn references_are_followed_through_inputs_and_outputs_of_modules() {
        let refers = |names: &[&str]| json!({ "references": names });
        let configuration = json!({ "root_module": {
            "resources": [
                { "address": "a.net", "expressions": { "cidr": { "constant_value": { "references": ["a.leak"] } } } },
                { "address": "a.leak" },
                { "address": "data.b.zone", "expressions": { "block": [{ "x": refers(&["a.net.id", "a.net"]) }] } },
                { "address": "a.top", "expressions": { "y": refers(&["module.app.name", "module.app"]) },
                  "for_each_expression": refers(&["data.b.zone"]), "depends_on": ["a.net"] },
            ],
            "module_calls": { "app": {
                "expressions": { "network": refers(&["a.net[\"k.1\"].id", "a.net[\"k.1\"]", "a.net"]) },
                "module": {
                    "resources": [
                        { "address": "c.server", "expressions": { "n": refers(&["var.network"]), "l": refers(&["local.x"]) } },
                    ],
                    "outputs": { "name": { "expression": refers(&["c.server[0].id", "c.server[0]", "c.server"]) } },
                },
            } },
        } });
        assert_eq!(
            found(&configuration, &json!({})),
            "a.top -> a.net, data.b.zone, module.app.c.server\n\
            data.b.zone -> a.net\nmodule.app.c.server -> a.net"
        );
    }

    #[test]
    fn of_what_exists_the_state_knows_what_it_depends_on() {
        let prior = json!({ "values": { "root_module": {
            "resources": [{ "address": "a.x[\"a]b\"]", "values": { "secret": "s" }, "depends_on": ["module.m.b.y"] }],
            "child_modules": [{ "resources": [{ "address": "module.m[0].b.y[1]", "depends_on": ["a.z"] }] }],
        } } });
        assert_eq!(found(&json!({}), &prior), "a.x -> module.m.b.y\nmodule.m.b.y -> a.z");
    }

    #[test]
    fn what_refers_in_a_circle_ends() {
        let refers = |names: &[&str]| json!({ "references": names });
        let configuration = json!({ "root_module": {
            "resources": [{ "address": "a.x", "expressions": { "i": refers(&["module.m.o"]) } }],
            "module_calls": { "m": {
                "expressions": { "v": refers(&["module.m.o"]) },
                "module": { "outputs": { "o": { "expression": refers(&["var.v"]) } } },
            } },
        } });
        assert_eq!(found(&configuration, &json!({})), "");
    }
}
