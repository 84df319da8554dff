//! Typed values from a node and from `serde_json`, and back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use plimsoll_flat::{Error, Node, json, to_document, validate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    env: BTreeMap<String, Setting>,
    optional: Option<Box<Container>>,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port(u16, char);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Setting {
    Unset,
    Text(String),
    Pair(i64, f64),
    Named { unit: (), byte: i8, map: BTreeMap<u32, bool> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum IntOrString {
    Int(i32),
    String(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { x: Option<u8> },
    B,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Strict {
    must: u8,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Borrowed<'a> {
    text: &'a str,
    #[serde(borrow)]
    cow: Cow<'a, str>,
    bytes: &'a [u8],
}

/// Both sources give the same value or both fail. The value serialises alike in both formats.
fn alike<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) {
    let document = json::from_json(text.as_bytes()).unwrap();
    let node = Node::root(&document).unwrap();
    match (T::deserialize(node), serde_json::from_str::<T>(text)) {
        (Ok(flat), Ok(serde)) => {
            assert_eq!(flat, serde, "{text}");
            let back = to_document(&flat).unwrap();
            assert_eq!(validate(&back), Ok(()));
            // Compared as values, because both print some doubles differently.
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(value(&Node::root(&back).unwrap().to_json()), value(&serde_json::to_string(&serde).unwrap()));
        }
        (Err(_), Err(_)) => {}
        (flat, serde) => panic!("{text}: {flat:?} against {serde:?}"),
    }
}

#[test]
fn structures() {
    for text in [
        r#"{"name":"a","optional":null}"#,
        r#"{"name":"a","image":"i","ports":[[80,"x"],[65535,"é"]],"optional":{"name":"b"},"other":[1,{"x":1.5}]}"#,
        r#"{"name":"a","env":{"A":"Unset","B":{"Text":"t"},"C":{"Pair":[1,2]},"D":{"Named":{"unit":null,"byte":-8,"map":{"1":true}}}}}"#,
        r#"{"name":"a","env":{"D":{"Named":{"unit":null,"byte":200,"map":{}}}}}"#,
        r#"{"name":"a","env":{"D":{"Named":{"unit":null,"byte":2,"map":{"x":true}}}}}"#,
        r#"{"name":"a","env":{"A":{"Unset":null}}}"#,
        r#"{"name":"a","env":{"A":{"Unset":1}}}"#,
        r#"{"name":"a","env":{"A":"Other"}}"#,
        r#"{"name":"a","env":{"A":{"Text":"a","Unset":null}}}"#,
        r#"{"name":"a","env":{"A":{"Pair":[1]}}}"#,
        r#"{"name":"a","env":{"A":{"Pair":[1,2,3]}}}"#,
        r#"{"name":"a","env":{"A":7}}"#,
        r#"{"name":"a","env":{"A":"Text"}}"#,
        r#"{"name":1}"#,
        r#"{"image":"i"}"#,
        r#"{"name":"a","ports":[[70000,"x"]]}"#,
        r#"{"name":"a","ports":[[1,"xy"]]}"#,
        r#"{"name":"a","ports":[[1,"x",2]]}"#,
        r#"{"name":"a","ports":{}}"#,
        "[]",
        "null",
    ] {
        alike::<Container>(text);
    }
    alike::<Strict>(r#"{"must":1,"more":{"deep":[1,2,3]}}"#);
    alike::<Strict>(r#"{}"#);
    alike::<Strict>("[1]");
    alike::<Strict>("[1,2]");
    for text in ["1", "\"1\"", "1.5", "null", "4294967296"] {
        alike::<IntOrString>(text);
    }
    for text in
        [r#"{"kind":"A","x":1}"#, r#"{"kind":"A"}"#, r#"{"kind":"B"}"#, r#"{"kind":"C"}"#, r#"{"x":1,"kind":"A"}"#]
    {
        alike::<Tagged>(text);
    }
}

#[test]
fn numbers() {
    for text in [
        "0",
        "-0",
        "1",
        "-1",
        "127",
        "128",
        "255",
        "256",
        "1.0",
        "1.5",
        "9223372036854775808",
        "18446744073709551615",
        "0.1234567890123456789",
        "1e10",
        "null",
        "\"1\"",
        "true",
    ] {
        alike::<u8>(text);
        alike::<i8>(text);
        alike::<u64>(text);
        alike::<i64>(text);
        // serde_json reads `-0` as an integer only for 128 bits.
        if text != "-0" {
            alike::<u128>(text);
            alike::<i128>(text);
        }
        alike::<f64>(text);
        alike::<Option<f64>>(text);
        alike::<bool>(text);
        alike::<()>(text);
        alike::<String>(text);
        alike::<Value>(text);
    }
    alike::<u128>("340282366920938463463374607431768211455");
    alike::<i128>("-170141183460469231731687303715884105728");
    let document = json::from_json(b"1e400").unwrap();
    assert!(f64::deserialize(Node::root(&document).unwrap()).is_err());
    assert!(serde_json::to_string(&Node::root(&document).unwrap()).is_err());
    assert_eq!(to_document(&f64::INFINITY), Err(Error::NotFinite));
}

#[test]
fn keys_of_maps() {
    for text in [r#"{"1":1,"-2":2}"#, r#"{"x":1}"#, r#"{"true":1,"false":2}"#, r#"{"a":1}"#, r#"{"Unset":1}"#, "{}"] {
        alike::<BTreeMap<i16, u8>>(text);
        alike::<BTreeMap<bool, u8>>(text);
        alike::<BTreeMap<char, u8>>(text);
        alike::<BTreeMap<String, u8>>(text);
    }
    assert!(to_document(&BTreeMap::from([(vec![1], 2)])).is_err());
    assert!(to_document(&BTreeMap::from([((), 2)])).is_err());
}

#[test]
fn text_is_borrowed_from_the_document() {
    let document = json::from_json(br#"{"text":"a\u0041","cow":"c","bytes":"b"}"#).unwrap();
    let value = Borrowed::deserialize(Node::root(&document).unwrap()).unwrap();
    assert_eq!(value, Borrowed { text: "aA", cow: Cow::Borrowed("c"), bytes: b"b" });
    assert!(document.as_ptr_range().contains(&value.text.as_ptr()));
    assert!(matches!(value.cow, Cow::Borrowed(_)));
}

#[test]
fn the_fixtures_round_trip_through_value() {
    for text in [include_str!("../benches/create.json"), include_str!("../benches/update.json")] {
        let document = json::from_json(text.as_bytes()).unwrap();
        let value = Value::deserialize(Node::root(&document).unwrap()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        alike::<Value>(text);
    }
}

#[test]
fn a_source_that_is_too_deep_or_too_long_is_refused() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq([Endless])
        }
    }
    assert_eq!(to_document(&Endless), Err(Error::TooDeep));
    struct Long;
    impl Serialize for Long {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(std::iter::repeat(0))
        }
    }
    assert_eq!(to_document(&Long), Err(Error::TooManyNodes));
}
