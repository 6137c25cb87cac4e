//! Malicious scripts: each ends at its limit, in the calling process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::lint::{Script, ScriptErrorKind, Scripts};
use rototo_lua::{InProcess, ScriptLimits};

/// The limit that ended a script with this body in `register`.
fn ended_by(body: &str) -> (ScriptErrorKind, String) {
    let text = format!("function register(lint)\n{body}\nend");
    let unable = InProcess::new(ScriptLimits::default()).register(Script { path: "lint/hostile.lua", text: &text });
    let unable = unable.expect_err(body);
    (unable.cause, unable.message)
}

#[track_caller]
fn check(body: &str, cause: ScriptErrorKind) {
    let (found, message) = ended_by(body);
    assert_eq!(found, cause, "{body}: {message}");
}

#[test]
fn a_loop_without_end() {
    check("while true do end", ScriptErrorKind::Instructions);
    check("repeat local x = {} until false", ScriptErrorKind::Instructions);
    check("local function f() return f() end f()", ScriptErrorKind::Instructions);
    check("for i = 1, math.huge do local s = tostring(i) end", ScriptErrorKind::Instructions);
    check("goto again ::again:: goto again", ScriptErrorKind::Instructions);
}

#[test]
fn a_string_of_10_gib() {
    check("local s = string.rep('x', 10 * 1024 * 1024 * 1024)", ScriptErrorKind::Memory);
    check("local s = ('x'):rep(1 << 62, 'y')", ScriptErrorKind::Memory);
    check("local s = 'x' while true do s = s .. s end", ScriptErrorKind::Memory);
    check("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1024) .. i end", ScriptErrorKind::Memory);
    check("local s = string.format('%s', ('x'):rep(9 << 20)) .. ('x'):rep(9 << 20)", ScriptErrorKind::Memory);
    let (cause, _) = ended_by("local s = ('x'):rep(1 << 20):gsub('x', ('y'):rep(1024))");
    assert!(
        matches!(cause, ScriptErrorKind::Memory | ScriptErrorKind::Instructions | ScriptErrorKind::Time),
        "{cause:?}"
    );
}

#[test]
fn deep_recursion() {
    let (cause, message) = ended_by("local function f(n) return 1 + f(n + 1) end f(0)");
    assert!(cause == ScriptErrorKind::Memory || message.contains("stack overflow"), "{cause:?} {message}");
    let (cause, message) = ended_by("local function f() return pcall(f) end f() error('back')");
    assert!(message.contains("back") || cause == ScriptErrorKind::Instructions, "{cause:?} {message}");
    let (_, message) = ended_by(
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end local x = t.x",
    );
    assert!(message.contains("overflow"), "{message}");
    let nested = format!("local x = {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let (_, message) = ended_by(&nested);
    assert!(message.contains("overflow") || message.contains("too many"), "{message}");
}

#[test]
fn pcall_around_the_loop() {
    check("pcall(function() while true do end end)", ScriptErrorKind::Instructions);
    check("while true do pcall(function() while true do end end) end", ScriptErrorKind::Instructions);
    let (cause, _) = ended_by("local function f() while true do pcall(f) end end f()");
    assert!(matches!(cause, ScriptErrorKind::Instructions | ScriptErrorKind::Time), "{cause:?}");
    check(
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        ScriptErrorKind::Instructions,
    );
    check(
        "local c <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
        ScriptErrorKind::Instructions,
    );
    check("while true do pcall(string.rep, 'x', 1 << 40) end", ScriptErrorKind::Instructions);
    check(
        "pcall(function() local c <close> = setmetatable({}, { __close = function() while true do end end }) while true do end end)",
        ScriptErrorKind::Instructions,
    );
    check(
        "pcall(function() for _ in next, {}, nil, setmetatable({}, { __close = function() while true do end end }) do end while true do end end)",
        ScriptErrorKind::Instructions,
    );
}

#[test]
fn a_catastrophic_pattern() {
    check("local x = ('a'):rep(60):find(('a*'):rep(40) .. 'b')", ScriptErrorKind::Instructions);
    check("local x = ('a'):rep(60):match(('a?'):rep(60) .. ('a'):rep(60))", ScriptErrorKind::Instructions);
    check("local x = ('x'):rep(5000):match(('.-'):rep(20) .. 'b')", ScriptErrorKind::Instructions);
    check("local x = ('('):rep(100000):gsub('%b()', '')", ScriptErrorKind::Instructions);
    check("for w in ('a'):rep(100):gmatch(('a*'):rep(30) .. 'b') do end", ScriptErrorKind::Instructions);
    // Without a pattern, a search takes as many steps as there are letters, whatever the needle is.
    check("local s = ('a'):rep(6 << 20) while true do s:find('b', 1, true) end", ScriptErrorKind::Instructions);
}

#[test]
fn a_loop_in_c() {
    check("table.move({}, 1, math.maxinteger - 1, 2)", ScriptErrorKind::Instructions);
    check("table.move({}, math.mininteger, math.maxinteger, 1)", ScriptErrorKind::Instructions);
    check("table.concat(setmetatable({}, { __index = table.concat }), '', 1, 1 << 60)", ScriptErrorKind::Fault);
    check("table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)", ScriptErrorKind::Fault);
    check("table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)", ScriptErrorKind::Fault);
    check(
        "table.sort(setmetatable({}, { __len = function() return (1 << 31) - 2 end }), rawequal)",
        ScriptErrorKind::Fault,
    );
    check(
        "local s, t = ('x'):rep(4 << 20), {} for i = 1, 20000 do t[i] = s end table.sort(t)",
        ScriptErrorKind::Instructions,
    );
    check("string.rep('', 1 << 62) while true do end", ScriptErrorKind::Instructions);
    check("local s = ('x'):rep(4 << 20) while true do local n = s:upper():len() end", ScriptErrorKind::Time);
}

#[test]
fn a_finalizer_runs_where_nobody_counts() {
    check("setmetatable({}, { __gc = function() while true do end end })", ScriptErrorKind::Fault);
    check(
        "local m = {} setmetatable({}, m) m.__gc = function() while true do end end while true do local t = {} end",
        ScriptErrorKind::Instructions,
    );
}

#[test]
fn a_loop_that_c_calls() {
    check("table.sort({ 3, 2, 1 }, function() while true do end end)", ScriptErrorKind::Instructions);
    check(
        "table.sort({ 3, 2, 1 }, function(a, b) while true do pcall(function() while true do end end) end end)",
        ScriptErrorKind::Instructions,
    );
    check(
        "local m = { __lt = function() while true do end end } table.sort({ setmetatable({}, m), setmetatable({}, m) })",
        ScriptErrorKind::Instructions,
    );
    check(
        "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
        ScriptErrorKind::Instructions,
    );
    check(
        "string.format('%s', setmetatable({}, { __tostring = function() while true do end end }))",
        ScriptErrorKind::Instructions,
    );
    check("error(setmetatable({}, { __tostring = function() while true do end end }))", ScriptErrorKind::Instructions);
    check(
        "error(setmetatable({}, { __tostring = function() error(setmetatable({}, { __tostring = function() while true do end end })) end }))",
        ScriptErrorKind::Fault,
    );
    check(
        "for _ in ipairs(setmetatable({}, { __index = function() while true do end end })) do end",
        ScriptErrorKind::Instructions,
    );
    check(
        "for _ in ipairs(setmetatable({}, { __index = function() return 1 end })) do end",
        ScriptErrorKind::Instructions,
    );
    check(
        "for _ in pairs(setmetatable({}, { __pairs = function() while true do end end })) do end",
        ScriptErrorKind::Instructions,
    );
    check("('x'):gsub('x', function() while true do end end)", ScriptErrorKind::Instructions);
    check(
        "setmetatable(_G, { __index = function() while true do end end }) local x = nowhere",
        ScriptErrorKind::Instructions,
    );
    check("lint:on(setmetatable({}, { __index = function() while true do end end }))", ScriptErrorKind::Fault);
    check("getmetatable('').__tostring = function() while true do end end", ScriptErrorKind::Fault);
}

#[test]
fn a_coroutine_around_the_loop() {
    let (cause, message) = ended_by("coroutine.wrap(function() while true do end end)()");
    assert_eq!(cause, ScriptErrorKind::Fault);
    assert!(message.contains("coroutine"), "{message}");
}

#[test]
fn no_function_reaches_outside() {
    for name in [
        "os",
        "io",
        "package",
        "require",
        "load",
        "loadfile",
        "loadstring",
        "dofile",
        "debug",
        "collectgarbage",
        "coroutine",
        "string.dump",
        "_G.os",
        "_ENV.io",
        "jit",
        "ffi",
        "newproxy",
        "setfenv",
        "module",
    ] {
        let (_, message) = ended_by(&format!("error(type({name}))"));
        assert_eq!(message, "nil", "{name}");
    }
    let (_, message) = ended_by(
        "local names = {} for name in pairs(_G) do names[#names + 1] = name end table.sort(names) error(table.concat(names, ' '))",
    );
    assert_eq!(
        message,
        "_G _VERSION assert error getmetatable ipairs math next pairs pcall print rawequal rawget rawlen rawset register select setmetatable string table tonumber tostring type utf8 warn xpcall"
    );
}

#[test]
fn an_answer_is_bounded() {
    let text = "function register(lint) for i = 1, 2000 do lint:on({ stage = 'value', entity = 'value', handler = 'register', rule = { id = 'a/b', title = 't', help = 'h' } }) end end";
    let unable = InProcess::new(ScriptLimits::default()).register(Script { path: "lint/a.lua", text }).unwrap_err();
    assert!(unable.message.contains("at most"), "{unable:?}");
    let long = "function register(lint) lint:on({ stage = 'value', entity = 'value', handler = 'register', rule = { id = 'a/b', title = ('t'):rep(1 << 20), help = 'h' } }) end";
    let unable =
        InProcess::new(ScriptLimits::default()).register(Script { path: "lint/a.lua", text: long }).unwrap_err();
    assert!(unable.message.contains("longer than"), "{unable:?}");
}

#[test]
fn all_calls_together_have_a_limit_too() {
    let limits = ScriptLimits { total_time: std::time::Duration::ZERO, ..ScriptLimits::default() };
    let unable = InProcess::new(limits).register(Script { path: "lint/a.lua", text: "" }).unwrap_err();
    assert_eq!(unable.cause, ScriptErrorKind::TotalTime);
}

/// Scripts get the TOML of documents, and those that cannot be read are no way around the limits of the parser.
#[test]
fn documents_whose_keys_nest_without_end() {
    let part = format!("{} = ", vec!["a"; 79].join("."));
    let bomb = format!("x = 1\n{part}{}1{}\n", format!("{{ {part}").repeat(79), " }".repeat(79));
    let script = "function register(lint)\n\
        for _, entity in ipairs({ \"workspace\", \"variable\", \"qualifier\" }) do\n\
        lint:on({ stage = \"policy\", entity = entity, rule = { id = \"team/x\", title = \"t\", help = \"h\" }, handler = \"check\" })\n\
        end end\nfunction check(ctx) return { { message = tostring(ctx.target.toml) } } end\n";
    let mut tree = rototo_engine::Tree::default();
    for path in ["rototo-workspace.toml", "variables/v.toml", "qualifiers/q.toml"] {
        tree.insert(path, bomb.as_bytes());
    }
    tree.insert("lint/x.lua", script.as_bytes());
    let lint = rototo_engine::lint_with(&rototo_engine::parse(tree), &mut InProcess::new(ScriptLimits::default()));
    assert!(lint.errors() >= 3, "{lint:?}");
}
