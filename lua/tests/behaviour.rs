//! The data that custom rules see, the places of their findings and errors, and the functions that replace those of
//! Lua's library.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Lint, Tree, lint_with, parse};
use rototo_lua::{InProcess, ScriptLimits};

const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\n"),
    ("schemas/limits.json", "{\"type\": \"object\", \"required\": []}"),
    (
        "variables/limits.toml",
        "schema_version = 1\ndescription = \"how much\"\ntype = \"object\"\nschema = \"../schemas/limits.json\"\n\n[values.small]\nprojects = 10\n\n[values.large]\nprojects = 500\n\n[resolve]\ndefault = \"small\"\n",
    ),
];

fn lint(script: &str) -> Lint {
    let files = FILES.iter().copied().chain([("lint/rule.lua", script)]);
    let tree: Tree = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    let mut lint = lint_with(&parse(tree), &mut InProcess::new(ScriptLimits::default()));
    // Nothing selects one of the two values.
    lint.diagnostics.retain(|found| found.rule != "rototo/variable-value-unused");
    lint
}

/// A script that registers `check` with this text in front of its rule.
fn script(registration: &str, check: &str) -> String {
    format!(
        "function register(lint)\n  lint:on({{ {registration}, rule = {{ id = \"team/rule\", title = \"A title\", help = \"A way out.\" }}, handler = \"check\" }})\nend\nfunction check(ctx)\n{check}\nend\n"
    )
}

#[track_caller]
fn check(registration: &str, body: &str, expected: &[&str]) {
    let lint = lint(&script(registration, body));
    let found: Vec<String> = lint.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_finding_has_the_place_of_its_field() {
    let value = |field: &str| format!("stage = \"value\", entity = \"value\", field = \"{field}\"");
    let body = "if ctx.target.selected ~= nil and ctx.target.name == \"large\" then return { { message = ctx.stage .. \" \" .. ctx.entity .. \" \" .. tostring(ctx.target.selected) } } end";
    check(&value("value.projects"), body, &["variables/limits.toml:10:1: value value 500 [team/rule]"]);
    let body = "if ctx.target.name == \"large\" then return { { message = \"m\", field = \"value.projects\" } } end";
    check("stage = \"value\", entity = \"value\"", body, &["variables/limits.toml:10:1: m [team/rule]"]);
    let variable = |field: &str| format!("stage = \"policy\", entity = \"variable\", field = \"{field}\"");
    check(
        &variable("description"),
        "return { { message = ctx.target.toml.description } }",
        &["variables/limits.toml:2:1: how much [team/rule]"],
    );
    check(&variable("id"), "return { { message = ctx.target.id } }", &["variables/limits.toml: limits [team/rule]"]);
    check(
        "stage = \"graph\", entity = \"workspace\"",
        "return { { message = ctx.target.kind .. ctx.target.manifest.toml.schema_version } }",
        &["rototo-workspace.toml: workspace1 [team/rule]"],
    );
    check(
        "stage = \"reference\", entity = \"schema\", field = \"json.type\"",
        "return { { message = ctx.target.selected, field = \"nonsense\" } }",
        &["schemas/limits.json: object [team/rule]"],
    );
}

#[test]
fn a_key_of_a_registration_that_nothing_reads_is_named() {
    let unread = |text: &str| format!("lint/rule.lua:2:3: {text} [rototo/custom-lint-key-unread]");
    check(
        "stage = \"value\", entity = \"value\", feild = \"value.projects\", x_note = 1, owner = \"me\", [1] = true",
        "",
        &[
            &unread("`lint:on` does not read `1`, only `stage`, `entity`, `field`, `rule`, `handler`"),
            &unread("`lint:on` does not read `feild`; is `field` meant?"),
        ],
    );
    let slip = script("stage = \"value\", entity = \"value\"", "").replace("help = ", "[{}] = 1, level = 2, help = ");
    let found: Vec<String> = lint(&slip).diagnostics.iter().map(ToString::to_string).collect();
    let known = "only `id`, `title`, `help`, `severity`";
    assert_eq!(
        found,
        [
            unread(&format!("`rule` does not read `level`, {known}")),
            unread(&format!("`rule` does not read `of type table`, {known}"))
        ]
    );
}

#[test]
fn an_error_of_a_script_has_its_line() {
    let found = |script: &str| lint(script).diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found("function register(lint)\n  lint:on(nil)\nend"),
        ["lint/rule.lua: `lint:on` takes one table [rototo/custom-lint-failed]"]
    );
    assert_eq!(
        found("local x = nil\nlocal y = x.field"),
        ["lint/rule.lua:2:1: attempt to index a nil value (local 'x') [rototo/custom-lint-failed]"]
    );
    assert_eq!(
        found("-- nothing"),
        ["lint/rule.lua: the script must define `function register(lint)` [rototo/custom-lint-failed]"]
    );
    assert_eq!(
        found("\u{1b}Lua"),
        ["lint/rule.lua: attempt to load a binary chunk (mode is 't') [rototo/custom-lint-failed]"]
    );
    let unknown = script("stage = \"later\", entity = \"value\"", "");
    assert_eq!(
        found(&unknown),
        [
            "lint/rule.lua:2:3: there is no stage `later`: the stages are project, reference, value, graph, policy [rototo/custom-lint-registration-invalid]"
        ]
    );
    let failing = lint(&script("stage = \"value\", entity = \"value\"", "error(\"no\")"));
    let first = &failing.diagnostics[0];
    assert_eq!(
        first.to_string(),
        "variables/limits.toml:6:1: `check` of lint/rule.lua failed on this: no [rototo/custom-lint-failed]"
    );
    assert_eq!(first.related[0].location.to_string(), "lint/rule.lua:5:1");
}

#[test]
fn masked_messages_hold_no_value() {
    let lint = lint(&script(
        "stage = \"value\", entity = \"value\"",
        "return { { message = \"secret \" .. ctx.target.value.projects } }",
    ));
    assert_eq!(lint.diagnostics[0].masked_message(), "A title");
    assert_eq!(lint.custom.registrations.len(), 1);
}

/// The replaced functions of Lua's library give the same results as Lua's own.
#[test]
fn replaced_functions_equal_luas_own() {
    let cases = [
        ("string.find('hello', 'l')", "3 3"),
        ("string.find('hello', 'l', 4)", "4 4"),
        ("string.find('hello', 'xyz')", "nil"),
        ("string.find('a.b', '.', 1, true)", "2 2"),
        ("string.find('abc', 'b', -1)", "nil"),
        ("string.find('abc', '', 10)", "nil"),
        ("string.find('abc', '', 4)", "4 3"),
        ("string.find('abc', '(b)(c)')", "2 3 b c"),
        ("string.match('key=val', '(%w+)=(%w+)')", "key val"),
        ("string.match('2024-01-02', '^%d+')", "2024"),
        ("string.match('  trim  ', '^%s*(.-)%s*$') .. '|'", "trim|"),
        ("string.match('x', '()')", "1"),
        ("string.gsub('hello world', 'o', '0')", "hell0 w0rld 2"),
        ("string.gsub('hello', '', '-')", "-h-e-l-l-o- 6"),
        ("string.gsub('abc', '%w', '%0%0')", "aabbcc 3"),
        ("string.gsub('abc', '%w', '%1')", "abc 3"),
        ("string.gsub('abc abc', '^a', 'x')", "xbc abc 1"),
        ("string.gsub('$name is $age', '%$(%w+)', { name = 'Bo', age = 7 })", "Bo is 7 2"),
        ("string.gsub('abc', '%w', function(c) if c == 'b' then return 'B' end end)", "aBc 3"),
        ("string.gsub('abcabc', 'b', 'x', 1)", "axcabc 1"),
        ("string.gsub('a,b,,c', ',*', ';')", ";a;b;c; 4"),
        (
            "(function() local t = {} for w in string.gmatch('one two', '%a+') do t[#t + 1] = w end return table.concat(t, ',') end)()",
            "one,two",
        ),
        (
            "(function() local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return table.concat(t, ',') end)()",
            "a1,b2",
        ),
        ("(function() local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end return n end)()", "4"),
        ("string.rep('ab', 3, '-')", "ab-ab-ab"),
        ("string.rep('', 1 << 60)", ""),
        ("string.rep('x', -1)", ""),
        ("table.concat({1, 2, 'x'}, ', ')", "1, 2, x"),
        ("(function() local t = {3, 1, 2} table.sort(t) return table.concat(t) end)()", "123"),
        (
            "(function() local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t) end)()",
            "321",
        ),
        (
            "(function() local t = {1, 2} table.insert(t, 1, 0) table.insert(t, 3) return table.concat(t) .. table.remove(t, 1) .. table.remove(t) end)()",
            "012303",
        ),
        ("table.unpack({1, 2, 3}, 2)", "2 3"),
        ("table.concat(table.move({1, 2, 3}, 2, 3, 1))", "233"),
        ("pcall(error, 'x')", "false x"),
        ("pcall(error, {1})", "false"),
        ("select('#', pcall(function() return 1, nil, nil end))", "4"),
        ("xpcall(function() error('x', 0) end, function(m) return m .. 'y' end)", "false xy"),
        ("('%d-%s'):format(3, 'x')", "3-x"),
        ("#setmetatable({}, { __len = function() return 9 end })", "9"),
        ("utf8.len('é')", "1"),
    ];
    for (expression, expected) in cases {
        let body = format!(
            "if ctx.target.kind ~= 'workspace' then return end local t = table.pack({expression}) for i = 1, t.n do t[i] = type(t[i]) == 'table' and '' or tostring(t[i]) end return {{ {{ message = table.concat(t, ' ') }} }}"
        );
        let lint = lint(&script("stage = \"policy\", entity = \"workspace\"", &body));
        let found: Vec<_> = lint.diagnostics.iter().map(|found| found.message.trim()).collect();
        assert_eq!(found, [expected], "{expression}");
    }
}

#[test]
fn an_answer_is_a_list_or_a_fault() {
    const PLACE: &str = "stage = \"policy\", entity = \"variable\"";
    let fault = "variables/limits.toml: `check` of lint/rule.lua failed on this: `check` must return a list of tables, and \
                 its answer has the key KEY: write \
                 `{ { message = … } }` [rototo/custom-lint-failed]";
    for (body, key) in [
        ("return { message = \"one\" }", "`message`"),
        ("return { { message = \"m\" }, message = \"one\" }", "`message`"),
        ("return { [2] = { message = \"one\" } }", "2"),
        ("return { [0] = { message = \"one\" }, { message = \"m\" } }", "0"),
        ("return { [true] = { message = \"one\" } }", "of type boolean"),
        ("return { [\"a`b\\n\"] = 1 }", "`a`b `"),
    ] {
        check(PLACE, body, &[&fault.replace("KEY", key)]);
    }
    check(PLACE, "return {}", &[]);
    // `table.pack` counts its elements.
    check(PLACE, "return table.pack({ message = \"m\" })", &["variables/limits.toml: m [team/rule]"]);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let marked =
        format!("\u{feff}{}", script("stage = \"policy\", entity = \"variable\"", "return { { message = \"m\" } }"));
    let found: Vec<String> = lint(&marked).diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["variables/limits.toml: m [team/rule]"]);
}
