//! Valid objects of every kind, and what becomes of them when they are changed at random.

mod values;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use values::{NUMBERS, STRINGS};

/// An object with one or two changes.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The changed object.
    pub object: Value,
    /// What was changed, for the report of a test.
    pub change: String,
}

/// An endless series of mutants, which depends on the seed alone.
#[derive(Debug)]
pub struct Mutants {
    objects: Vec<Value>,
    /// The pointers of all values of an object, beside how often it is picked.
    places: Vec<(Vec<String>, u64)>,
    /// The values of all members by their key.
    by_key: BTreeMap<String, Vec<Value>>,
    /// The members of all objects by the key of the object, or of the list around it.
    by_owner: BTreeMap<String, Vec<(String, Value)>>,
    random: Random,
}

impl Mutants {
    /// Mutants of these objects.
    pub fn new(objects: Vec<Value>, seed: u64) -> Self {
        let (mut by_key, mut by_owner) = (BTreeMap::new(), BTreeMap::new());
        let mut places = Vec::new();
        for object in &objects {
            collect("", object, &mut by_key, &mut by_owner);
            let mut all = Vec::new();
            pointers(object, String::new(), &mut all);
            // Large objects are picked more often than small ones, but not in proportion.
            let weight = (all.len() as f64).powf(0.7) as u64 + 1;
            places.push((all, weight));
        }
        Self { objects, places, by_key, by_owner, random: Random(seed) }
    }

    fn pick(&mut self) -> usize {
        let total: u64 = self.places.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.below(total);
        for (index, (_, weight)) in self.places.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// Changes one value; `None` if the change that was drawn does not fit the place that was drawn.
    fn change(&mut self, object: &mut Value, pointer: &str) -> Option<String> {
        // The namespace is part of the address that the object is sent to.
        if pointer == "/metadata/namespace" || pointer.is_empty() {
            return None;
        }
        let (parent, key) = pointer.rsplit_once('/')?;
        let key = unescape(key);
        let old = object.pointer(pointer)?.clone();
        let draw = self.random.below(110);
        let (name, new) = match draw {
            0..=11 => {
                remove(object, parent, &key)?;
                return Some(format!("drop {pointer}"));
            }
            12..=19 => ("another type", self.other_type(&old)),
            20..=44 => ("edge", self.edge(&old)?),
            45..=47 => ("null", Value::Null),
            48..=59 => ("value of the same key", self.same_key(&key, parent)?),
            60..=73 => return self.graft(object, pointer, &old),
            74..=79 => return self.rename(object, parent, &key),
            80..=82 => {
                let members = object.pointer_mut(pointer)?.as_object_mut()?;
                members.insert("unknownField".into(), json!(1));
                return Some(format!("unknown field in {pointer}"));
            }
            83..=90 => return self.duplicate(object, pointer),
            91..=95 => return self.relocate(object, pointer),
            96..=99 => ("empty", self.empty(&old)),
            100..=105 => return self.rekey(object, pointer),
            106..=107 => return self.other_api(object),
            _ => return self.exchange(object, pointer),
        };
        if new == old {
            return None;
        }
        let change = format!("{name} at {pointer}: {}", shorten(&new));
        *object.pointer_mut(pointer)? = new;
        Some(change)
    }

    fn other_type(&mut self, old: &Value) -> Value {
        let all = [
            json!("text"),
            json!("3"),
            json!(3),
            json!(1.5),
            json!(true),
            json!("true"),
            json!([]),
            json!({}),
            json!(["a"]),
            json!([1]),
            json!({"a": "b"}),
            json!({"a": 1}),
            json!([{}]),
            json!([null]),
            json!([[]]),
        ];
        match (self.random.below(3), old) {
            (0, Value::Number(number)) => json!(number.to_string()),
            (0, Value::Bool(yes)) => json!(yes.to_string()),
            (0, Value::Array(items)) if !items.is_empty() => items[0].clone(),
            (0, Value::String(_) | Value::Object(_)) => json!([old]),
            _ => self.random.one(&all).clone(),
        }
    }

    fn edge(&mut self, old: &Value) -> Option<Value> {
        Some(match old {
            Value::String(text) => match self.random.below(8) {
                0 => json!(text.to_uppercase()),
                1 => json!(format!("{text}-")),
                2 => json!(format!("{text} ")),
                3 => json!(text.get(1..)?),
                4 => json!(format!("{text}{}", self.random.one(&["x", "/", ".", ":", "=", "0", "%", ",", "Mi", "é"]))),
                _ => json!(self.random.string()),
            },
            Value::Number(number) => match self.random.below(4) {
                0 => json!(number.as_i64()?.checked_neg()?),
                1 => json!(number.as_i64()?.checked_add(1)?),
                _ => self.random.number(),
            },
            Value::Bool(yes) => json!(!yes),
            Value::Array(items) => {
                let mut items = items.clone();
                match self.random.below(3) {
                    0 => items.push(json!(self.random.string())),
                    1 => items.push(Value::Null),
                    _ => items.reverse(),
                }
                Value::Array(items)
            }
            Value::Object(members) => {
                let mut members = members.clone();
                let (key, value) = (self.random.string(), self.random.string());
                members.insert(key, json!(value));
                Value::Object(members)
            }
            Value::Null => return None,
        })
    }

    fn same_key(&mut self, key: &str, parent: &str) -> Option<Value> {
        // The items of a list are like what else stands in lists of that key.
        let key = if key.bytes().all(|byte| byte.is_ascii_digit()) { parent.rsplit('/').next()? } else { key };
        let values = self.by_key.get(key)?;
        let value = self.random.one(values).clone();
        Some(match (value, parent.ends_with(key)) {
            (Value::Array(items), true) if !items.is_empty() => self.random.one(&items).clone(),
            (value, _) => value,
        })
    }

    /// Adds a member that objects of this kind have elsewhere.
    fn graft(&mut self, object: &mut Value, pointer: &str, old: &Value) -> Option<String> {
        old.as_object()?;
        let members = self.by_owner.get(&owner(pointer))?;
        let (key, value) = self.random.one(members).clone();
        let change = format!("graft {key} into {pointer}: {}", shorten(&value));
        object.pointer_mut(pointer)?.as_object_mut()?.insert(key, value);
        Some(change)
    }

    /// Writes a key wrongly.
    fn rename(&mut self, object: &mut Value, parent: &str, key: &str) -> Option<String> {
        let members = object.pointer_mut(parent)?.as_object_mut()?;
        let half = key.get(..key.len() / 2)?;
        let wrong = match self.random.below(6) {
            0 => key.to_lowercase(),
            1 => key.to_uppercase(),
            2 => format!("{key}s"),
            3 => key.get(..key.len().checked_sub(1)?)?.to_owned(),
            4 => format!("{half}{}", key.get(key.len() / 2 + 1..)?),
            _ => format!("{half}-{}", key.get(key.len() / 2..)?),
        };
        if wrong == key {
            return None;
        }
        let value = members.remove(key)?;
        members.insert(wrong.clone(), value);
        Some(format!("rename {parent}/{key} to {wrong}"))
    }

    /// Repeats an item of a list, perhaps with one member changed.
    fn duplicate(&mut self, object: &mut Value, pointer: &str) -> Option<String> {
        let items = object.pointer_mut(pointer)?.as_array_mut()?;
        let mut item = self.random.one(items.get(..).filter(|items| !items.is_empty())?).clone();
        let members = item.as_object_mut().filter(|members| !members.is_empty());
        if let Some(members) = members
            && self.random.below(2) == 0
        {
            let keys: Vec<String> = members.keys().cloned().collect();
            let key = self.random.one(&keys).clone();
            let value = match members.get(&key) {
                Some(Value::String(_)) => json!(self.random.string()),
                Some(Value::Number(_)) => self.random.number(),
                _ => return None,
            };
            members.insert(key, value);
        }
        let change = format!("item added to {pointer}: {}", shorten(&item));
        items.push(item);
        Some(change)
    }

    /// Moves a member to another object of the same manifest.
    fn relocate(&mut self, object: &mut Value, pointer: &str) -> Option<String> {
        let mut all = Vec::new();
        pointers(object, String::new(), &mut all);
        let target = self.random.one(&all).clone();
        let (parent, key) = pointer.rsplit_once('/')?;
        let key = unescape(key);
        if target.starts_with(pointer) || target == parent || !object.pointer(&target)?.is_object() {
            return None;
        }
        let value = remove(object, parent, &key)?;
        object.pointer_mut(&target)?.as_object_mut()?.insert(key, value);
        Some(format!("move {pointer} into {target}"))
    }

    fn empty(&mut self, old: &Value) -> Value {
        match old {
            Value::Object(_) => json!({}),
            Value::Array(_) => json!([]),
            Value::String(_) => json!(""),
            Value::Number(_) => json!(0),
            _ => json!(false),
        }
    }

    /// Gives a member a key that is a random text.
    fn rekey(&mut self, object: &mut Value, pointer: &str) -> Option<String> {
        let members = object.pointer_mut(pointer)?.as_object_mut()?;
        // Only maps: their values are texts.
        let keys: Vec<String> = members
            .iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .map(|(key, _)| key.clone())
            .collect();
        if keys.len() != members.len() || keys.is_empty() {
            return None;
        }
        let key = self.random.one(&keys).clone();
        let wrong = self.random.string();
        let value = members.remove(&key)?;
        members.insert(wrong.clone(), value);
        Some(format!("key {key} of {pointer} is now {wrong:?}"))
    }

    fn other_api(&mut self, object: &mut Value) -> Option<String> {
        let apis = [
            "v1",
            "apps/v1",
            "apps/v1beta1",
            "extensions/v1beta1",
            "batch/v1",
            "batch/v1beta1",
            "networking.k8s.io/v1",
            "networking.k8s.io/v1beta1",
            "policy/v1beta1",
            "policy/v1",
            "autoscaling/v1",
            "autoscaling/v2",
            "autoscaling/v2beta2",
            "autoscaling/v2beta1",
            "rbac.authorization.k8s.io/v1beta1",
            "app/v1",
            "v2",
            "storage.k8s.io/v1beta1",
            "apps/v2",
            "",
            "a/b/c",
        ];
        let (field, value) = if self.random.below(3) == 0 {
            let kind = object["kind"].as_str()?;
            let wrong =
                [kind.to_lowercase(), format!("{kind}s"), kind.get(1..)?.to_owned(), "Pod".into(), "Service".into()];
            ("kind", self.random.one(&wrong).clone())
        } else {
            ("apiVersion", (*self.random.one(&apis)).to_owned())
        };
        let change = format!("{field} is now {value:?}");
        object[field] = json!(value);
        Some(change)
    }

    /// Exchanges a value with another of the same object.
    fn exchange(&mut self, object: &mut Value, pointer: &str) -> Option<String> {
        let mut all = Vec::new();
        pointers(object, String::new(), &mut all);
        let other = self.random.one(&all).clone();
        if other.is_empty()
            || other == "/metadata/namespace"
            || other.starts_with(pointer)
            || pointer.starts_with(&other)
        {
            return None;
        }
        let (one, two) = (object.pointer(pointer)?.clone(), object.pointer(&other)?.clone());
        if one == two {
            return None;
        }
        *object.pointer_mut(pointer)? = two;
        *object.pointer_mut(&other)? = one;
        Some(format!("exchange {pointer} and {other}"))
    }
}

impl Iterator for Mutants {
    type Item = Mutant;

    fn next(&mut self) -> Option<Mutant> {
        loop {
            let index = self.pick();
            let mut object = self.objects[index].clone();
            let mut changes = Vec::new();
            let wanted = 1 + usize::from(self.random.below(6) == 0);
            for _ in 0..20 {
                let place = self.random.one(&self.places[index].0).clone();
                changes.extend(self.change(&mut object, &place));
                if changes.len() >= wanted {
                    break;
                }
            }
            if !changes.is_empty() {
                return Some(Mutant { object, change: changes.join("; ") });
            }
        }
    }
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(all.len() as u64) as usize;
        &all[index]
    }

    fn string(&mut self) -> String {
        match self.below(12) {
            0 => "x".repeat(*self.one(&[15, 16, 63, 64, 128, 253, 254, 317, 1025])),
            1 => format!("example.com/{}", self.one(STRINGS)),
            _ => (*self.one(STRINGS)).to_owned(),
        }
    }

    fn number(&mut self) -> Value {
        match self.below(12) {
            0 => json!(self.one(&[1.5, 0.5, -0.5, 1e3, 1e20])),
            1 => json!(9_223_372_036_854_775_808_u64),
            _ => json!(self.one(NUMBERS)),
        }
    }
}

fn collect(
    owner: &str,
    value: &Value,
    by_key: &mut BTreeMap<String, Vec<Value>>,
    by_owner: &mut BTreeMap<String, Vec<(String, Value)>>,
) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                by_key.entry(key.clone()).or_default().push(value.clone());
                by_owner.entry(owner.to_owned()).or_default().push((key.clone(), value.clone()));
                collect(shape(key), value, by_key, by_owner);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(owner, item, by_key, by_owner);
            }
        }
        _ => {}
    }
}

fn pointers(value: &Value, pointer: String, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                pointers(value, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{pointer}/{index}"), all);
            }
        }
        _ => {}
    }
    all.push(pointer);
}

/// The last key of a pointer that is not an index.
fn owner(pointer: &str) -> String {
    let key = pointer.rsplit('/').find(|key| !key.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or_default();
    shape(&unescape(key)).to_owned()
}

fn shape(key: &str) -> &str {
    if key == "initContainers" { "containers" } else { key }
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn remove(object: &mut Value, parent: &str, key: &str) -> Option<Value> {
    match object.pointer_mut(parent)? {
        Value::Object(members) => Map::remove(members, key),
        Value::Array(items) => {
            let index: usize = key.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
