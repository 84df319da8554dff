//! ConfigMaps and Secrets.

use super::check::{field, need_one};
use crate::formats::{content, names};
use crate::{At, Faults, Rule};

/// Largest total size of the values, in bytes.
const SIZE: usize = 1024 * 1024;

pub(super) fn config_map(object: &At<'_>, faults: &mut Faults) {
    let (data, binary) = (object.at("data"), object.at("binaryData"));
    let mut size = 0;
    for (key, value) in data.members() {
        self::key(&value, key, faults);
        if binary.entry(key).is_some() {
            let message = format!("the key `{}` is in `data` and in `binaryData`", super::check::shown(key));
            faults.error(Rule::ExclusiveFields, &value, message, "remove it from one of the two");
        }
        size += value.text().len();
    }
    for (key, value) in binary.members() {
        self::key(&value, key, faults);
        size += content::base64_len(value.text());
    }
    limit(object, size, faults);
}

fn key(value: &At<'_>, key: &str, faults: &mut Faults) {
    if !names::is_config_key(key) {
        let message = format!("`{}` is not a valid key: use {}", super::check::shown(key), names::CONFIG_KEY.allowed);
        faults.error(Rule::InvalidName, value, message, "write a key such as `my-key.yaml`");
    }
}

fn limit(object: &At<'_>, size: usize, faults: &mut Faults) {
    if size > SIZE {
        let message = format!("the values have {size} bytes, but at most {SIZE} (1 MiB) are allowed");
        faults.error(Rule::OutOfRange, object, message, "split the object, or keep the values elsewhere");
    }
}

pub(super) fn secret(object: &At<'_>, faults: &mut Faults) {
    let (data, texts) = (object.at("data"), object.at("stringData"));
    let mut size = 0;
    for (key, value) in data.members() {
        self::key(&value, key, faults);
        if texts.entry(key).is_none() {
            size += content::base64_len(value.text());
        }
    }
    for (key, value) in texts.members() {
        self::key(&value, key, faults);
        size += value.text().len();
    }
    limit(object, size, faults);
    let has = |key: &'static str| data.entry(key).is_some() || texts.entry(key).is_some();
    let kind = object.at("type").text();
    match kind {
        "kubernetes.io/service-account-token" => {
            let annotations = object.at("metadata").at("annotations");
            let account = annotations.entry("kubernetes.io/service-account.name");
            if account.is_none_or(|account| account.text().is_empty()) {
                let message = "a Secret of this type needs the annotation `kubernetes.io/service-account.name`";
                faults.error(Rule::MissingField, &annotations, message, "write the annotation");
            }
        }
        "kubernetes.io/dockercfg" => docker(object, ".dockercfg", faults),
        "kubernetes.io/dockerconfigjson" => docker(object, ".dockerconfigjson", faults),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            need_one(&data, &["username", "password"], "a Secret of type `kubernetes.io/basic-auth`", faults);
        }
        "kubernetes.io/ssh-auth" => {
            let key = |at: &At<'_>| at.entry("ssh-privatekey").is_some_and(|at| !at.text().is_empty());
            let written = match texts.entry("ssh-privatekey") {
                Some(_) => key(&texts),
                None => key(&data),
            };
            if !written {
                field(&data, "ssh-privatekey").missing("the private key", faults);
            }
        }
        "kubernetes.io/tls" => {
            certificate(&data, &texts, faults);
            for name in ["tls.crt", "tls.key"] {
                if !has(name) {
                    field(&data, name)
                        .missing("the certificate and its key, for a Secret of type `kubernetes.io/tls`", faults);
                }
            }
        }
        _ => {}
    }
}

/// Warns about a certificate that no server could use.
fn certificate(data: &At<'_>, texts: &At<'_>, faults: &mut Faults) {
    let (at, is_pem) = match (texts.entry("tls.crt"), data.entry("tls.crt")) {
        (Some(at), _) => (at, at.text().contains("-----BEGIN")),
        (None, Some(at)) => {
            let bytes = content::base64(at.text()).unwrap_or_default();
            (at, bytes.windows(10).any(|window| window == b"-----BEGIN"))
        }
        (None, None) => return,
    };
    if !is_pem {
        let message = "`tls.crt` is not a certificate in PEM";
        faults.warning(
            Rule::ServerWarning,
            &at,
            message,
            "write a certificate that begins with `-----BEGIN CERTIFICATE-----`",
        );
    }
}

/// A configuration of registries, which is a JSON object.
fn docker(object: &At<'_>, key: &'static str, faults: &mut Faults) {
    let (data, texts) = (object.at("data"), object.at("stringData"));
    let (at, is_object) = match (texts.entry(key), data.entry(key)) {
        (Some(at), _) => (at, content::is_json_object(at.text().as_bytes())),
        // Malformed base64 is told of as such.
        (None, Some(at)) => (at, content::base64(at.text()).is_none_or(|bytes| content::is_json_object(&bytes))),
        (None, None) => {
            return field(&data, key).missing("the configuration of registries, for a Secret of this type", faults);
        }
    };
    if !is_object {
        let message = format!("`{key}` is not a JSON object");
        faults.error(Rule::InvalidFormat, &at, message, "write an object such as `{\"auths\": {}}`");
    }
}
