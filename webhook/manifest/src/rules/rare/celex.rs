//! The syntax of CEL expressions, and the names that they use.
//!
//! Types are not checked, except where the form of the whole expression tells its type.

use std::collections::HashSet;

use super::super::check::shown;
use super::cel_tokens::{Token, show, tokens};
use crate::{At, Faults, Rule};

/// How deep an expression may be nested: the API server allows less.
const DEPTH: usize = 200;

/// What the result of an expression has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Any,
    Bool,
    String,
    /// An apply configuration.
    Object,
    /// A list of JSON patches.
    Patches,
}

/// The names that an expression can use.
#[derive(Clone, Default)]
pub(crate) struct Scope<'a> {
    /// Replaces the names of admission.
    pub(crate) only: Option<&'static [&'static str]>,
    pub(crate) params: bool,
    pub(crate) authorizer: bool,
    /// Whether the expression makes a patch.
    pub(crate) patch: bool,
    /// Names below `variables`, if there is such an object.
    pub(crate) variables: Option<HashSet<&'a str>>,
}

impl Scope<'_> {
    /// These names and no others.
    pub(crate) fn of(only: &'static [&'static str]) -> Self {
        Self { only: Some(only), ..Self::default() }
    }

    fn has(&self, name: &str) -> bool {
        match (self.only, name) {
            (Some(only), _) => only.contains(&name),
            (None, "object" | "oldObject" | "request" | "namespaceObject") => true,
            (None, "params") => self.params,
            (None, "authorizer") => self.authorizer,
            (None, "Object" | "JSONPatch") => self.patch,
            (None, "variables") => self.variables.is_some(),
            _ => false,
        }
    }
}

/// Types and packages of CEL and of Kubernetes' libraries for it.
const GLOBAL: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
    "google",
    "optional",
    "optional_type",
    "ip",
    "cidr",
    "sets",
    "math",
    "base64",
    "cel",
    "format",
    "strings",
    "lists",
    "url",
    "quantity",
    "semver",
    "regex",
    "net",
    "kubernetes",
    "jsonpatch",
];

const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether this can be the name of a variable.
pub(crate) fn is_identifier(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && !RESERVED.contains(&text)
}

/// Checks an expression, if it is there.
pub(crate) fn probe(at: &At<'_>, scope: &Scope<'_>, want: Want, faults: &mut Faults) {
    let Some(text) = at.str() else { return };
    let why = match parse(text) {
        Err(why) => why,
        Ok(parsed) => match parsed.unknown(scope) {
            Some(name) => format!("`{}` is not a name that the expression can use", shown(name)),
            None => match parsed.misfit(want) {
                Some(why) => why.to_owned(),
                None => return,
            },
        },
    };
    let message = format!("`{}` is not a valid expression of CEL: {why}", shown(text));
    faults.error(Rule::InvalidFormat, at, message, "mend the expression");
}

/// What is known of a well-formed expression.
struct Parsed<'t> {
    /// Names at the start of a chain, with the member that follows.
    roots: Vec<(&'t str, Option<&'t str>)>,
    /// Names that a macro or a binding declares.
    bound: HashSet<&'t str>,
    /// The type of the whole expression, if it is clear.
    literal: Option<Literal>,
}

/// The type of the whole expression, as far as its form tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literal {
    Bool,
    String,
    Number,
    Null,
    List,
    Map,
    Object,
    /// A value of the object itself, whose type is not known.
    Unknown,
}

impl<'t> Parsed<'t> {
    fn unknown(&self, scope: &Scope<'_>) -> Option<&'t str> {
        self.roots.iter().find_map(|(name, member)| {
            if self.bound.contains(name) || GLOBAL.contains(name) {
                return None;
            }
            if !scope.has(name) {
                return Some(*name);
            }
            let known = scope.variables.as_ref().filter(|_| *name == "variables")?;
            member.filter(|member| !known.contains(member))
        })
    }

    fn misfit(&self, want: Want) -> Option<&'static str> {
        let literal = self.literal?;
        match want {
            Want::Bool if literal != Literal::Bool => Some("the result must be true or false"),
            Want::String if literal != Literal::String => Some("the result must be a string"),
            Want::Object if literal != Literal::Object => Some("the result must be an apply configuration"),
            Want::Patches if literal != Literal::List => Some("the result must be a list of patches"),
            _ => None,
        }
    }
}

fn parse(text: &str) -> Result<Parsed<'_>, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        depth: 0,
        parsed: Parsed { roots: Vec::new(), bound: HashSet::new(), literal: None },
    };
    parser.expression()?;
    if let Some(token) = parser.peek() {
        return Err(format!("{} is not expected there", show(token)));
    }
    parser.parsed.literal = literal(&tokens);
    Ok(parser.parsed)
}

fn literal(tokens: &[Token<'_>]) -> Option<Literal> {
    let mut depth = 0_i32;
    let (mut compares, mut chooses, mut calculates) = (false, false, false);
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign("(" | "[" | "{") => depth += 1,
            Token::Sign(")" | "]" | "}") => depth -= 1,
            Token::Sign("==" | "!=" | "<" | "<=" | ">" | ">=" | "&&" | "||") | Token::Name("in") => {
                compares |= depth == 0
            }
            Token::Sign("!") => compares |= index == 0,
            Token::Sign("?") => chooses |= depth == 0,
            Token::Sign("+" | "-" | "*" | "/" | "%" | ".") => calculates |= depth == 0,
            _ => {}
        }
    }
    if chooses {
        return None;
    }
    if compares {
        return Some(Literal::Bool);
    }
    if tokens.iter().all(|token| matches!(token, Token::Number | Token::Sign("+" | "-" | "*" | "/" | "%"))) {
        return Some(Literal::Number);
    }
    match tokens {
        [Token::Text] => Some(Literal::String),
        [Token::Name("true" | "false")] => Some(Literal::Bool),
        [Token::Name("null")] => Some(Literal::Null),
        [Token::Name("has"), Token::Sign("("), ..] if !calculates => Some(Literal::Bool),
        [Token::Name("object" | "oldObject" | "params"), chain @ ..] if is_chain(chain) => Some(Literal::Unknown),
        [Token::Sign("{"), .., Token::Sign("}")] if !calculates => Some(Literal::Map),
        [Token::Sign("["), .., Token::Sign("]")] if !calculates => Some(Literal::List),
        [Token::Name("Object"), Token::Sign("{"), .., Token::Sign("}")] if !calculates => Some(Literal::Object),
        _ => None,
    }
}

/// Whether these are members only: `.spec.replicas`.
fn is_chain(tokens: &[Token<'_>]) -> bool {
    tokens.chunks(2).all(|pair| matches!(pair, [Token::Sign("."), Token::Name(_)]))
}

struct Parser<'t, 's> {
    tokens: &'s [Token<'t>],
    next: usize,
    depth: usize,
    parsed: Parsed<'t>,
}

type Step = Result<(), String>;

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.next).copied()
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.peek() == Some(Token::Sign(sign));
        self.next += usize::from(found);
        found
    }

    fn demand(&mut self, sign: &str) -> Step {
        if self.take(sign) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("`{sign}` is missing before {}", show(token)),
            None => format!("`{sign}` is missing at the end"),
        })
    }

    fn expression(&mut self) -> Step {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".into());
        }
        self.operands()?;
        if self.take("?") {
            self.operands()?;
            self.demand(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Precedence does not matter for what is well-formed.
    fn operands(&mut self) -> Step {
        self.operand()?;
        loop {
            let is_operator = match self.peek() {
                Some(Token::Sign(sign)) => {
                    matches!(sign, "&&" | "||" | "==" | "!=" | "<=" | ">=" | "<" | ">" | "+" | "-" | "*" | "/" | "%")
                }
                Some(Token::Name("in")) => true,
                _ => false,
            };
            if !is_operator {
                return Ok(());
            }
            self.next += 1;
            self.operand()?;
        }
    }

    fn operand(&mut self) -> Step {
        while self.take("!") || self.take("-") {}
        self.primary()?;
        loop {
            if self.take(".") {
                self.take("?");
                let Some(Token::Name(name)) = self.peek().filter(|token| *token != Token::Name("in")) else {
                    return Err("a name is missing after `.`".into());
                };
                self.next += 1;
                let second = self.is_second();
                if let Some((_, member @ None)) = self.parsed.roots.last_mut().filter(|_| second) {
                    *member = Some(name);
                }
                if self.take("(") {
                    self.arguments(")")?;
                }
            } else if self.take("[") {
                self.take("?");
                self.expression()?;
                self.demand("]")?;
            } else if self.peek() == Some(Token::Sign("{")) && self.follows_name() {
                self.next += 1;
                self.fields()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Whether the name before the one just read begins a chain.
    fn is_second(&self) -> bool {
        let Some(before) = self.next.checked_sub(3).and_then(|at| self.tokens.get(at)) else { return false };
        let first = self.next.checked_sub(4).and_then(|at| self.tokens.get(at)) != Some(&Token::Sign("."));
        first && matches!((before, self.parsed.roots.last()), (Token::Name(one), Some((two, _))) if one == two)
    }

    fn follows_name(&self) -> bool {
        self.next.checked_sub(1).and_then(|at| self.tokens.get(at)).is_some_and(|token| matches!(token, Token::Name(_)))
    }

    fn primary(&mut self) -> Step {
        let leading = self.take(".");
        let Some(token) = self.peek() else { return Err("a value is missing at the end".into()) };
        self.next += 1;
        match token {
            Token::Name("true" | "false" | "null") | Token::Number | Token::Text if !leading => Ok(()),
            Token::Name(name) if !RESERVED.contains(&name) => {
                if self.take("(") {
                    self.arguments(")")
                } else {
                    self.parsed.roots.push((name, None));
                    Ok(())
                }
            }
            Token::Sign("(") if !leading => {
                self.expression()?;
                self.demand(")")
            }
            Token::Sign("[") if !leading => self.arguments("]"),
            Token::Sign("{") if !leading => self.fields(),
            other => Err(format!("{} is not a value", show(other))),
        }
    }

    /// Arguments or items, up to the closing sign. A bare name as the first or second one may be a declaration.
    fn arguments(&mut self, close: &str) -> Step {
        let mut count = 0;
        while !self.take(close) {
            if count > 0 {
                self.demand(",")?;
                // Lists may end with a comma.
                if close == "]" && self.take(close) {
                    return Ok(());
                }
            }
            self.take("?");
            let start = self.next;
            self.expression()?;
            if let (true, Some(Token::Name(name))) =
                (count < 2 && self.next == start + 1, self.tokens.get(start).copied())
            {
                self.parsed.bound.insert(name);
            }
            count += 1;
        }
        Ok(())
    }

    /// Entries of a map, or fields of a message.
    fn fields(&mut self) -> Step {
        let mut first = true;
        while !self.take("}") {
            if !std::mem::take(&mut first) {
                self.demand(",")?;
                if self.take("}") {
                    return Ok(());
                }
            }
            self.take("?");
            let start = self.next;
            self.expression()?;
            if let (true, Some(Token::Name(name))) = (self.next == start + 1, self.tokens.get(start).copied()) {
                self.parsed.bound.insert(name);
            }
            self.demand(":")?;
            self.expression()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for text in [
            "object.spec.replicas <= 5 && !('a' in request.userInfo.groups)",
            "object.spec.containers.all(c, c.image.startsWith(\"x/\")) ? true : false",
            "has(object.metadata.labels) && object.metadata.labels['a'] == r'\\d'",
            "Object{metadata: Object.metadata{labels: {'a': 'b'}}}",
            "[JSONPatch{op: \"add\", path: \"/a\", value: {}}]",
            "object.?spec.?x.orValue(1u) >= .5e3 // why",
            "duration('1s') < duration(\"2s\") || optional.none() == optional.of(1)",
            "cel.bind(x, object.spec, x.y == 1)",
        ] {
            let parsed = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(parsed.unknown(&Scope { patch: true, ..Scope::default() }), None, "{text}");
        }
        for text in ["", "1 +", "a b", "10%", "a = b", "'open", "(1", "[1,,2]", "x.", "@hourly", "10.0.0.1", "* *"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_below_variables() {
        let scope = Scope { variables: Some(HashSet::from(["n"])), ..Scope::default() };
        let unknown = |text| parse(text).expect("an expression").unknown(&scope);
        assert_eq!(unknown("variables.n <= 5"), None);
        assert_eq!(unknown("variables.m <= 5"), Some("m"));
        assert_eq!(unknown("self.x > 1"), Some("self"));
    }
}
