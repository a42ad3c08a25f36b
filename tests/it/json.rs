//! The output of `--json` conforms to docs/json.schema.json.

use serde_json::Value;

use crate::sandbox::{Sandbox, encoded, picture};
use image::ImageFormat;

/// The schema in the repository.
fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/json.schema.json")).unwrap()
}

/// The violations of `schema` in `value`. Supports only the keywords that this schema uses.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let mut fail = |what: &str| found.push(format!("{at}: {what} ({rule}): {value}"));
        match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "const" if value != rule => fail("is another value"),
            "enum" if !rule.as_array().unwrap().contains(value) => fail("is none of these"),
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => fail("is less"),
            "const" | "enum" | "minimum" => {}
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("type {other}"),
                };
                if !rule.as_array().map_or_else(|| is(rule), |kinds| kinds.iter().any(is)) {
                    fail("is of another type");
                }
            }
            "required" if value.is_object() => {
                for name in rule.as_array().unwrap().iter().filter(|name| value.get(name.as_str().unwrap()).is_none()) {
                    fail(&format!("lacks {name}"));
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(inner) = value.get(name) {
                        found.extend(faults(root, rule, inner, &format!("{at}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let other = value.as_object().into_iter().flatten();
                for (name, inner) in other.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name))) {
                    match rule {
                        Value::Bool(false) => found.push(format!("{at}: has {name}")),
                        rule => found.extend(faults(root, rule, inner, &format!("{at}.{name}"))),
                    }
                }
            }
            "items" => {
                for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, rule, inner, &format!("{at}[{i}]")));
                }
            }
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                found.extend(faults(root, target, value, at));
            }
            "anyOf" => {
                let ways: Vec<Vec<String>> =
                    rule.as_array().unwrap().iter().map(|rule| faults(root, rule, value, at)).collect();
                if ways.iter().all(|faults| !faults.is_empty()) {
                    found.extend(ways.into_iter().min_by_key(Vec::len).unwrap_or_default());
                }
            }
            "required" => {}
            other => panic!("the keyword {other} is not known here"),
        }
    }
    found
}

#[track_caller]
fn holds(sandbox: &Sandbox, line: &str, code: i32) -> Value {
    let ran = sandbox.run(&format!("{line} --json"));
    assert_eq!((ran.code, ran.stdout.lines().count()), (code, 1), "{line}: {}{}", ran.stdout, ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let schema = schema();
    let faults = faults(&schema, &schema, &value, "");
    assert!(faults.is_empty(), "{line}:\n{}", faults.join("\n"));
    assert_eq!(value["exit"], code, "{line}");
    value
}

#[test]
fn every_answer_is_as_the_schema_says() {
    let sandbox = Sandbox::with_photos(20);
    let jpeg = encoded(&picture(7), ImageFormat::Jpeg);
    sandbox.put("photos/cut.jpg", &jpeg[..jpeg.len() - 20]);
    sandbox.put("photos/note.txt", b"no picture");
    sandbox.put("photos/about.csv", b"path,caption\n000.png,one\n");
    let flags = "--model scattering --perplexity 5 -o a.png";
    let dry = holds(&sandbox, &format!("run photos {flags} --dry-run"), 0);
    assert!(dry["preflight"]["stages"]["project"].is_number(), "{dry}");
    let first = holds(&sandbox, &format!("run photos {flags}"), 0);
    assert_eq!(first["stages"].as_array().unwrap().len(), 5, "{first}");
    assert_eq!(
        (&first["stages"][1]["reasons"][0]["code"], &first["counts"]["reasons"]["not-an-image"]),
        (&"never-run".into(), &1.into())
    );
    assert!(
        first["stages"][2]["seconds"].is_number() && first["assign"]["facts"]["grid"] == serde_json::json!([5, 5]),
        "{first}"
    );
    let again = holds(&sandbox, "run", 0);
    assert!(again["stages"].as_array().unwrap().iter().all(|stage| stage["fresh"] == true), "{again}");
    let stale = holds(&sandbox, "status --check --perplexity 4", 4);
    assert_eq!(stale["stages"][2]["reasons"][0]["text"], "perplexity 5 -> 4");
    holds(&sandbox, &format!("run photos {flags} --strict"), 3);
    holds(&sandbox, &format!("run photos {flags}"), 0);
    for line in [
        "embed",
        "project",
        "assign",
        "render --frames frames --page=false",
        "status",
        "config",
        "sources",
        "verify",
        "gc --dry-run",
        "search --like 000.png",
        "duplicates",
        "run photos --model scattering -o a.png --fold duplicates",
        "export all.csv",
        "publish site",
        "list photos --artifact list.parquet",
        "embed --model scattering --list list.parquet --shard 0/1 --out place",
        "embed --model scattering --list list.parquet --shards place --cache gathered",
        "sample other --images 5",
        "project --input cache/latest/embed.parquet --dry-run",
    ] {
        let code = match line {
            "render --frames frames --page=false" => 1,
            _ if line.contains("--input") => 2,
            _ => 0,
        };
        holds(&sandbox, line, code);
    }
    holds(&sandbox, "assign --input cache/latest/project.parquet", 0);
    holds(&sandbox, "render --input cache/latest/assign.parquet -o own.png", 0);
}

#[test]
fn what_goes_wrong_is_an_object_too() {
    let sandbox = Sandbox::with_photos(2);
    let code = |line: &str, exit: i32| holds(&sandbox, line, exit)["error"]["code"].as_str().unwrap().to_owned();
    assert_eq!(code("run", 2), "usage");
    assert_eq!(code("run photos --modle scattering", 2), "usage");
    assert_eq!(code("fly", 2), "usage");
    assert_eq!(code("run nowhere", 1), "not-found");
    for stage in ["project", "assign", "render"] {
        assert_eq!(code(&format!("{stage} --input none.parquet"), 1), "not-found");
    }
    assert_eq!(code("export all.csv", 1), "failed");
}

#[test]
fn the_schema_refuses_what_it_should() {
    let schema = schema();
    let good = serde_json::json!({"format": 1, "command": "verify", "exit": 0, "seconds": 0.5, "warnings": [],
        "intact": 3, "bytes": 10, "damaged": []});
    assert!(faults(&schema, &schema, &good, "").is_empty());
    for (name, value) in
        [("format", 2.into()), ("intact", Value::from(1.5)), ("exit", 7.into()), ("damaged", "x".into())]
    {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(!faults(&schema, &schema, &bad, "").is_empty(), "{name}");
    }
}
