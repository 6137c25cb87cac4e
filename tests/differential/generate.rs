//! Generates workspaces and contexts from a seed: valid ones that use every part of the format, and the same with
//! mistakes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The files of a workspace by path.
pub type Files = BTreeMap<String, String>;

/// A generator of random numbers that gives the same numbers for the same seed on every machine.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const ATTRIBUTES: &[&str] = &["account.id", "account.plan", "account.seats", "region", "load", "flags.beta"];
const SCALARS: &[&str] =
    &["\"pro\"", "\"acct-1\"", "1", "1.0", "2.5", "-3", "true", "false", "\"\"", "9007199254740993"];
const QUALIFIERS: &[&str] = &["a", "b", "c", "d"];
const RESOURCES: &[&str] = &["plan", "tier"];
const OBJECTS: &[&str] = &["basic", "large"];

/// Generates a workspace that is mostly valid.
pub fn workspace(numbers: &mut Numbers) -> Files {
    let mut files = Files::from([("rototo-workspace.toml".to_owned(), "schema_version = 1\n".to_owned())]);
    let qualifiers = &QUALIFIERS[..=numbers.below(QUALIFIERS.len())];
    for (place, id) in qualifiers.iter().enumerate() {
        files.insert(format!("qualifiers/{id}.toml"), qualifier(numbers, &qualifiers[..place]));
    }
    let resources = &RESOURCES[..numbers.below(RESOURCES.len() + 1)];
    for id in resources {
        files
            .insert(format!("resources/{id}.toml"), format!("schema_version = 1\nschema = \"../schemas/{id}.json\"\n"));
        files.insert(
            format!("schemas/{id}.json"),
            "{\"type\": \"object\", \"required\": [\"n\"], \"properties\": {\"n\": {\"type\": \"integer\", \"minimum\": 1}, \"next\": {\"type\": \"string\", \"x-rototo-resource\": \"plan\"}}}\n".to_owned(),
        );
        for key in OBJECTS {
            let next = if numbers.chance(30) { "next = \"basic\"\n" } else { "" };
            let object = format!("n = {}\n{next}[deep]\nlist = [1, \"x\", {{ y = true }}]\n", 1 + numbers.below(9));
            files.insert(format!("resources/{id}-objects/{key}.toml"), object);
        }
    }
    for id in ["limit", "mode", "policy"] {
        files.insert(format!("variables/{id}.toml"), variable(numbers, qualifiers, resources));
    }
    if numbers.chance(60) {
        files.insert("schemas/context.schema.json".to_owned(), context_schema(numbers));
    }
    for name in ["limits", "naming"].iter().take(numbers.below(5).saturating_sub(2)) {
        files.insert(format!("lint/{name}.lua"), script(numbers));
    }
    files
}

/// Generates a script with some rules, whose handlers find something, find nothing, or fail.
fn script(numbers: &mut Numbers) -> String {
    let mut text = "function register(lint)\n".to_owned();
    let mut handlers = String::new();
    for place in 0..numbers.below(4) {
        let (entity, field) = *numbers.pick(&[
            ("value", ""),
            ("value", "field = \"key\", "),
            ("value", "field = \"value\", "),
            ("value", "field = \"value.deep.list\", "),
            ("variable", "field = \"description\", "),
            ("variable", "field = \"resolve\", "),
            ("qualifier", "field = \"predicates\", "),
            ("qualifier", ""),
            ("schema", "field = \"json.properties.n\", "),
            ("schema", ""),
            ("workspace", "field = \"extends\", "),
            ("workspace", ""),
        ]);
        let stage = numbers.pick(&["project", "reference", "value", "graph", "policy"]);
        let severity =
            numbers.pick(&["", ", severity = \"warning\"", ", severity = \"warning\"", ", severity = \"error\""]);
        let rule = numbers.pick(&["team/first", "team/second"]);
        let registration = format!(
            "  lint:on({{ stage = \"{stage}\", entity = \"{entity}\", {field}rule = {{ id = \"{rule}\", title = \"A title\", help = \"A way out.\"{severity} }}, handler = \"check{place}\" }})\n"
        );
        text.push_str(&registration);
        if numbers.chance(10) {
            text.push_str(&registration);
        }
        handlers.push_str(&format!("\nfunction check{place}(ctx)\n  {}\nend\n", handler(numbers, entity)));
    }
    format!("{text}end\n{handlers}")
}

/// Generates the code of a handler for a target of this kind.
fn handler(numbers: &mut Numbers, entity: &str) -> &'static str {
    let any = [
        "return nil",
        "return {}",
        "return { { message = ctx.stage .. \" \" .. ctx.entity .. \" \" .. ctx.target.kind } }",
        "return { { message = \"one\", field = \"id\" }, { message = \"two\", field = \"nonsense\" } }",
        "error(\"no\")",
        "return ctx.target.nothing.at_all",
        "return 5",
        "return { { text = \"no message\" } }",
        "while true do end",
        "local s = string.rep(\"x\", 20 * 1024 * 1024)",
        "local found = {} for word in string.gmatch(ctx.entity .. \" \" .. ctx.stage, \"%a+\") do found[#found + 1] = { message = word } end return found",
    ];
    let of_kind: &[&str] = match entity {
        "value" => &[
            "return { { message = ctx.target.variable.id .. \"/\" .. ctx.target.name .. \" is \" .. type(ctx.target.value) .. \" \" .. type(ctx.target.selected) } }",
            "if type(ctx.target.value) == \"number\" and ctx.target.value > 10 then return { { message = ctx.target.name .. \" is \" .. ctx.target.value, field = \"value\" } } end",
            "return { { message = string.gsub(tostring(ctx.target.name), \"%a\", \"<%0>\") .. ctx.target.origin.kind .. ctx.target.origin.doc } }",
        ],
        "variable" => &[
            "local n = 0 for _ in pairs(ctx.target.toml.values) do n = n + 1 end return { { message = ctx.target.id .. \" has \" .. n, field = \"values\" } }",
            "local keys = {} for key in pairs(ctx.target.toml) do keys[#keys + 1] = key end table.sort(keys) return { { message = table.concat(keys, \",\") } }",
            "if ctx.target.toml.resolve.rule then return { { message = #ctx.target.toml.resolve.rule .. \" \" .. tostring(ctx.target.toml.resolve.rule[1].value) } } end",
        ],
        "qualifier" => &[
            "for i, predicate in ipairs(ctx.target.toml.predicate) do if predicate.op == \"in\" then return { { message = i .. \" \" .. tostring(predicate.value[1]), field = \"predicates\" } } end end",
            "return { { message = ctx.target.id:upper() .. ctx.target.path } }",
        ],
        "schema" => &[
            "return { { message = ctx.target.path .. \" \" .. type(ctx.target.selected), field = \"json\" } }",
            "if type(ctx.target.selected) == \"table\" then return { { message = tostring(ctx.target.selected.type) } } end",
        ],
        _ => &[
            "return { { message = #ctx.target.extends .. \" \" .. tostring(ctx.target.manifest.toml.schema_version) .. ctx.target.manifest.path } }",
        ],
    };
    if numbers.chance(60) { numbers.pick::<&str>(of_kind) } else { numbers.pick::<&str>(&any) }
}

fn qualifier(numbers: &mut Numbers, earlier: &[&str]) -> String {
    let mut text = "schema_version = 1\ndescription = \"some\"\n".to_owned();
    for _ in 0..=numbers.below(3) {
        text.push_str("\n[[predicate]]\n");
        let attribute = numbers.pick(ATTRIBUTES);
        text.push_str(&match numbers.below(10) {
            0..3 => format!(
                "attribute = \"{attribute}\"\nop = \"{}\"\nvalue = {}\n",
                numbers.pick(&["eq", "neq"]),
                numbers.pick(SCALARS)
            ),
            3..5 => format!(
                "attribute = \"{attribute}\"\nop = \"{}\"\nvalue = [{}, {}]\n",
                numbers.pick(&["in", "not_in"]),
                numbers.pick(SCALARS),
                numbers.pick(SCALARS)
            ),
            5..7 => format!(
                "attribute = \"{}\"\nop = \"{}\"\nvalue = {}\n",
                numbers.pick(&["account.seats", "load"]),
                numbers.pick(&["gt", "gte", "lt", "lte"]),
                numbers.pick(&["1", "2.5", "0", "-3", "10"])
            ),
            7..9 => {
                let start = numbers.below(9000);
                format!(
                    "attribute = \"{}\"\nop = \"bucket\"\nsalt = \"s{}\"\nrange = [{start}, {}]\n",
                    numbers.pick(&["account.id", "account.seats", "region"]),
                    numbers.below(3),
                    start + 1 + numbers.below(10_000 - start)
                )
            }
            _ => match earlier.first() {
                Some(_) => format!(
                    "attribute = \"qualifier.{}\"\nop = \"eq\"\nvalue = {}\n",
                    numbers.pick(earlier),
                    numbers.pick(&["true", "false"])
                ),
                None => "attribute = \"region\"\nop = \"eq\"\nvalue = \"eu\"\n".to_owned(),
            },
        });
    }
    text
}

fn variable(numbers: &mut Numbers, qualifiers: &[&str], resources: &[&str]) -> String {
    let (kind, values, keys) = match numbers.below(6) {
        0 => ("int".to_owned(), "[1, 20, -5]", vec!["x", "y", "z"]),
        1 => ("bool".to_owned(), "[true, false, true]", vec!["x", "y", "z"]),
        2 => ("number".to_owned(), "[1, 2.5, -1e3]", vec!["x", "y", "z"]),
        3 => ("list".to_owned(), "[[1], [], [\"a\", true]]", vec!["x", "y", "z"]),
        4 if !resources.is_empty() => (format!("resource:{}", numbers.pick(resources)), "", OBJECTS.to_vec()),
        _ => ("string".to_owned(), "[\"one\", \"two\", \"\"]", vec!["x", "y", "z"]),
    };
    let mut text = format!("schema_version = 1\ndescription = \"some\"\ntype = \"{kind}\"\n");
    if !values.is_empty() {
        let values: Vec<Value> = serde_json::from_str(&values.replace("-1e3", "-1000.0")).unwrap();
        text.push_str("\n[values]\n");
        for (key, value) in keys.iter().zip(values) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text.push_str(&format!("\n[resolve]\ndefault = \"{}\"\n", numbers.pick(&keys)));
    for _ in 0..numbers.below(4) {
        text.push_str(&format!(
            "\n[[resolve.rule]]\nqualifier = \"{}\"\nvalue = \"{}\"\n",
            numbers.pick(qualifiers),
            numbers.pick(&keys)
        ));
    }
    text
}

fn context_schema(numbers: &mut Numbers) -> String {
    let kind = |numbers: &mut Numbers| match numbers.below(4) {
        0 => json!({"type": ["string", "number", "boolean", "integer"]}),
        1 => json!({"type": "string"}),
        2 => json!({"type": "number"}),
        _ => json!({}),
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "account": {"type": "object", "properties": {"id": kind(numbers), "plan": kind(numbers), "seats": {"type": "number"}}},
            "region": kind(numbers),
            "load": {"type": "number"},
            "flags": {"type": "object", "properties": {"beta": kind(numbers)}},
        },
    });
    schema.to_string()
}

/// The mistakes: texts, each with its replacement.
const SLIPS: &[(&str, &str)] = &[
    ("schema_version = 1", "schema_version = 2"),
    ("schema_version = 1\n", ""),
    ("schema_version = 1", "schema_version = \"1\""),
    ("type = \"int\"", "type = \"integer\""),
    ("type = \"string\"", "type = 5"),
    ("type = \"string\"", "type = \"resource:gone\""),
    ("type = \"bool\"", "type = \"list\""),
    ("type = \"number\"", "type = \"int\""),
    ("default = ", "fallback = "),
    ("default = \"x\"", "default = \"gone\""),
    ("default = \"x\"", "default = 1"),
    ("[resolve]", "[resolver]"),
    ("[values]", "[value]"),
    ("[[resolve.rule]]", "[resolve.rule]"),
    ("[[predicate]]", "[predicate]"),
    ("[[predicate]]", "[[predicates]]"),
    ("qualifier = \"a\"", "qualifier = \"gone\""),
    ("qualifier = \"a\"\n", ""),
    ("qualifier = \"b\"", "qualifier = 7"),
    ("value = \"x\"", "value = \"gone\""),
    ("op = \"eq\"", "op = \"equals\""),
    ("op = \"eq\"\n", ""),
    ("op = \"eq\"", "op = \"gt\""),
    ("op = \"in\"", "op = \"eq\""),
    ("op = \"gt\"", "op = \"in\""),
    ("op = \"bucket\"", "op = \"eq\""),
    ("salt = \"s0\"\n", ""),
    ("salt = \"s1\"", "salt = 1"),
    ("range = [", "range = [9999, 1, "),
    ("range = [", "range = [\"0\", "),
    ("range = [", "value = 1\nrange = ["),
    ("attribute = \"region\"", "attribute = \"qualifier.gone\""),
    ("attribute = \"region\"", "attribute = \"qualifier.a\""),
    ("attribute = \"load\"", "attribute = \"load.deep\""),
    ("attribute = \"account.id\"\n", ""),
    ("schema = \"../schemas/plan.json\"", "schema = \"../schemas/gone.json\""),
    ("schema = \"../schemas/plan.json\"", "schema = \"../../plan.json\""),
    ("schema = \"../schemas/plan.json\"\n", ""),
    ("schema = \"../schemas/tier.json\"", "schema = 3"),
    ("n = 1", "n = 0"),
    ("n = ", "m = "),
    ("next = \"basic\"", "next = \"gone\""),
    ("\"type\":", "\"type\": \"thing\", \"was\":"),
    ("\"region\"", "\"qualifier\""),
    ("\"x-rototo-resource\": \"plan\"", "\"x-rototo-resource\": \"gone\""),
    ("id = \"team/first\"", "id = \"rototo/first\""),
    ("id = \"team/first\"", "id = \"First\""),
    ("id = \"team/second\", title = \"A title\"", "id = \"team/first\", title = \"Another\""),
    ("stage = \"value\"", "stage = \"parse\""),
    ("entity = \"value\"", "entity = \"limit\""),
    ("field = \"value\"", "field = \"description\""),
    ("field = \"value.deep.list\"", "field = \"value.\""),
    ("severity = \"warning\"", "severity = \"info\""),
    ("handler = \"check0\"", "handler = \"check9\""),
    ("handler = \"check0\"", "handle = \"check0\""),
    ("function register(lint)", "function register(lint"),
    ("function register(lint)", "function registers(lint)"),
    ("function register(lint)", "error(\"no\")\nfunction register(lint)"),
    ("function register(lint)", "function register(lint)\n  while true do end"),
    ("lint:on(", "lint.on("),
    ("lint:on({", "lint:on(nil, {"),
    ("{", "{{"),
    (" = ", " = = "),
    ("\"", ""),
    ("\n", "\nextends = [\"../base\"]\n"),
];

/// Puts one mistake into a workspace.
pub fn spoil(files: &mut Files, numbers: &mut Numbers) {
    let paths: Vec<String> = files.keys().cloned().collect();
    let path = numbers.pick(&paths).clone();
    match numbers.below(12) {
        0 => drop(files.remove(&path)),
        1 => {
            let text = files[&path].clone();
            let lines: Vec<&str> = text.lines().collect();
            let gone = numbers.below(lines.len().max(1));
            let kept =
                lines.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, line)| format!("{line}\n"));
            files.insert(path, kept.collect());
        }
        2 => {
            let text = files[&path].clone();
            let doubled: Vec<&str> = text.split_inclusive("\n\n").collect();
            let again = (*numbers.pick(&doubled)).to_owned();
            files.insert(path, format!("{text}\n{again}"));
        }
        _ => {
            let fitting: Vec<(String, &(&str, &str))> = paths
                .iter()
                .flat_map(|path| SLIPS.iter().map(move |slip| (path.clone(), slip)))
                .filter(|(path, (from, _))| files[path].contains(from))
                .collect();
            let (path, (from, to)) = numbers.pick(&fitting).clone();
            let text = files[&path].replacen(from, to, 1);
            files.insert(path, text);
        }
    }
}

/// Generates a context that mostly has all attributes.
pub fn context(numbers: &mut Numbers) -> Value {
    let scalars = [
        json!("pro"),
        json!("acct-1"),
        json!("eu"),
        json!(1),
        json!(1.0),
        json!(2.5),
        json!(true),
        json!(-3),
        json!(""),
        json!(null),
    ];
    let mut account = serde_json::Map::new();
    let mut root = serde_json::Map::new();
    for (key, odd) in [("id", 30), ("plan", 30)] {
        let value = if numbers.chance(odd) {
            numbers.pick(&scalars).clone()
        } else {
            json!(format!("acct-{}", numbers.below(50)))
        };
        account.insert(key.to_owned(), value);
    }
    account.insert(
        "seats".to_owned(),
        if numbers.chance(10) { numbers.pick(&scalars).clone() } else { json!(numbers.below(12)) },
    );
    root.insert("account".to_owned(), account.into());
    root.insert("region".to_owned(), numbers.pick(&scalars).clone());
    root.insert(
        "load".to_owned(),
        if numbers.chance(10) {
            json!("high")
        } else {
            json!(f64::from(u32::try_from(numbers.below(40)).unwrap()) / 4.0)
        },
    );
    root.insert("flags".to_owned(), json!({"beta": numbers.pick(&scalars)}));
    if numbers.chance(25) {
        let gone: Vec<String> = root.keys().cloned().collect();
        root.remove(numbers.pick(&gone));
    }
    root.into()
}
