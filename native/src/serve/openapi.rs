//! The OpenAPI description, put together from what each resource says of itself: a route that is not described cannot be
//! written, as its description is where its path stands.

use axum::routing::MethodRouter;
use serde_json::{Map, Value, json};

use super::app::App;
use super::names::{NAME, SUBMITTER};
use super::submission::State;

/// What all paths of this version begin with.
pub(crate) const PREFIX: &str = "/api/v1";

/// A path with what answers there and what is said about it.
pub(crate) struct Resource {
    /// Below [`PREFIX`].
    pub(crate) path: &'static str,
    /// Answers.
    pub(crate) methods: MethodRouter<App>,
    /// Operations by method, each made by [`Operation::json`].
    pub(crate) operations: Vec<(&'static str, Value)>,
}

/// A type and its schema.
pub(crate) type Content = (&'static str, Value);

/// What is said about one method of one path.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    /// One word, unique.
    pub(crate) id: &'static str,
    /// One line.
    pub(crate) summary: &'static str,
    /// Which token it needs; `any` is one that may be left out.
    pub(crate) scope: &'static str,
    /// Parameters besides those of the path.
    pub(crate) parameters: Vec<Value>,
    /// The body: types that it may have, each with its schema.
    pub(crate) body: Vec<Content>,
    /// Good answers: status, what it means, type and schema.
    pub(crate) good: Vec<(u16, &'static str, Option<Content>)>,
    /// Refusals besides those that every request can meet.
    pub(crate) refusals: &'static [u16],
}

impl Operation {
    /// As OpenAPI.
    pub(crate) fn json(self) -> Value {
        let mut answers = Map::new();
        for (status, meaning, content) in self.good {
            let mut answer = json!({"description": meaning});
            if let Some((kind, schema)) = content {
                answer["content"] = json!({kind: {"schema": schema}});
            }
            answers.insert(status.to_string(), answer);
        }
        let scoped = !self.scope.is_empty();
        let mut refusals: Vec<u16> = self.refusals.to_vec();
        refusals.push(429);
        if scoped {
            refusals.push(401);
        }
        if ["submit", "admin"].contains(&self.scope) {
            refusals.push(403);
        }
        for status in refusals {
            answers.insert(status.to_string(), json!({"$ref": "#/components/responses/refusal"}));
        }
        let mut operation =
            json!({"operationId": self.id, "summary": self.summary, "responses": answers});
        if scoped {
            let token = json!({"token": []});
            let either = if self.scope == "any" { json!([{}, token]) } else { json!([token]) };
            operation["security"] = either;
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = json!(self.parameters);
        }
        if !self.body.is_empty() {
            let kinds = self.body.into_iter();
            let content: Map<String, Value> =
                kinds.map(|(kind, schema)| (kind.to_owned(), json!({"schema": schema}))).collect();
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        operation
    }
}

/// A part of [`schemas`].
pub(crate) fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A parameter.
pub(crate) fn parameter(
    name: &str,
    place: &str,
    required: bool,
    meaning: &str,
    schema: &Value,
) -> Value {
    json!({"name": name, "in": place, "required": required, "description": meaning, "schema": schema})
}

/// An object all of whose parts are always there, and no others.
pub(crate) fn object(parts: &Value) -> Value {
    let names: Vec<&String> = parts.as_object().map(|all| all.keys().collect()).unwrap_or_default();
    json!({"type": "object", "additionalProperties": false, "required": names, "properties": parts})
}

/// Identifier of a path.
pub(crate) fn id_schema(digits: usize) -> Value {
    json!({"type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$")})
}

/// Words with hyphens between.
pub(crate) fn kebab(longest: usize) -> Value {
    json!({"type": "string", "maxLength": longest, "minLength": 1, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"})
}

fn schemas() -> Value {
    let states: Vec<&str> = State::ALL.iter().map(|state| state.name()).collect();
    let (time, text) =
        (json!({"type": "string", "format": "date-time"}), json!({"type": "string"}));
    let maybe = json!({"type": ["string", "null"], "format": "date-time"});
    let lines = json!({"type": "array", "items": text});
    let number = json!({"type": "number"});
    let count = json!({"type": "integer", "minimum": 0});
    let hex = |digits| id_schema(digits);
    json!({
        "Error": object(&json!({"error": object(&json!({"code": text, "message": text, "remedy": text}))})),
        "Record": object(&json!({"passed": lines, "skipped": lines, "seconds": number})),
        "State": {"type": "string", "enum": states},
        "Submission": object(&json!({
            "id": hex(32), "submitter": kebab(SUBMITTER), "name": kebab(NAME), "state": schema("State"),
            "sha256": hex(64), "bytes": count, "created": time, "changed": time,
            "reason": {"type": ["string", "null"]},
            "record": {"oneOf": [schema("Record"), {"type": "null"}]},
        })),
        "Token": object(&json!({
            "id": hex(16), "scope": {"type": "string", "enum": ["submit", "admin"]},
            "submitter": {"type": "string"}, "created": time, "last_used": maybe, "revoked": maybe,
        })),
        "Entry": object(&json!({
            "submission": hex(32), "submitter": kebab(SUBMITTER), "name": kebab(NAME), "accepted": time,
            "skipped": lines, "benchmark": text, "dataset": text, "encoder": text, "attack": text,
            "against": {"type": ["string", "null"]}, "defense": text, "metric": text, "value": number,
            "lo": number, "hi": number, "n": count, "seeds": {"type": "array", "items": count},
        })),
        "Audit": object(&json!({
            "seq": count, "at": time, "actor": text, "action": text, "subject": text, "before": text,
            "after": text, "detail": text,
        })),
    })
}

/// The whole document.
pub(crate) fn document(resources: &[Resource]) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        let mut item: Map<String, Value> = Map::new();
        for (method, operation) in &resource.operations {
            item.insert((*method).to_owned(), operation.clone());
        }
        // The only parameter of a path is an identifier: a token's is shorter than a submission's.
        if resource.path.contains("{id}") {
            let digits = if resource.path.starts_with("/tokens") { 16 } else { 32 };
            let id = parameter("id", "path", true, "its identifier", &id_schema(digits));
            item.insert("parameters".to_owned(), json!([id]));
        }
        paths.insert(format!("{PREFIX}{}", resource.path), Value::Object(item));
    }
    let refusal = json!({
        "description": "why not, in a word and a sentence, and what to do",
        "content": {"application/json": {"schema": schema("Error")}},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "toxiclip serve",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Takes bundles of results, verifies them and shows those that were accepted.",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {"refusal": refusal},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}
