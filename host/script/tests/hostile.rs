//! Scripts that want out, or everything: each ends in a clear error, and the host is unharmed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Bench, fault, fault_with, output};
use nacre_script::Limits;

fn tight() -> Limits {
    Limits { memory: 32 << 20, instructions: 20_000_000, time: Duration::from_secs(20) }
}

/// Runs a script under tight limits: its error's message.
#[track_caller]
fn ends(code: &str) -> String {
    let started = Instant::now();
    let fault = fault_with(&tight(), code);
    assert!(started.elapsed() < Duration::from_secs(60), "{code}");
    fault.message
}

#[track_caller]
fn passes_the_instructions(code: &str) {
    let message = ends(code);
    assert!(message.contains("instructions"), "{code}: {message}");
}

#[track_caller]
fn runs_out_of_memory(code: &str) {
    let message = ends(code);
    assert!(
        message.contains("memory") || message.contains("too large") || message.contains("too long"),
        "{code}: {message}"
    );
}

/// A test of its own for each script, by what ends it.
macro_rules! cases {
    ($judge:ident: $($name:ident = $code:expr;)*) => {
        $(#[test]
        fn $name() {
            $judge($code);
        })*
    };
}

cases! { passes_the_instructions:
    an_endless_loop_ends = "while true do end";
    an_endless_goto_ends = "::again:: goto again";
    an_endless_tail_call_ends = "local function f() return f() end f()";
    a_loop_that_catches_errors_ends = "while true do pcall(function() while true do end end) end";
    a_loop_that_handles_errors_ends =
        "while true do xpcall(function() while true do end end, function() return 1 end) end";
    a_handler_of_errors_that_loops_ends =
        "while true do xpcall(function() while true do end end, function() while true do end end) end";
    a_protected_call_of_a_protected_call_ends =
        "local p = pcall while true do p(p, p, function() while true do end end) end";
    an_error_whose_text_loops_ends =
        "while true do pcall(error, setmetatable({}, {__tostring = function() while true do end end})) end";
    an_uncaught_error_whose_text_loops_ends =
        "local x = tostring(setmetatable({}, {__tostring = function() while true do end end}))";
    a_coroutine_that_loops_ends = "coroutine.wrap(function() while true do end end)()";
    a_coroutine_that_is_resumed_and_loops_ends =
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end";
    coroutines_that_are_many_and_short_end =
        "while true do coroutine.wrap(function() for i = 1, 200 do end end)() end";
    a_coroutine_that_yields_forever_ends =
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end";
    a_coroutine_that_loops_where_it_is_closed_ends =
        "while true do local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() \
         while true do end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end";
    a_comparison_that_loops_ends =
        "table.sort({3, 2, 1}, function() while true do end end)";
    an_iterator_that_never_ends_ends = "for _ in function() return 1 end do end";
    an_index_that_loops_ends =
        "return setmetatable({}, {__index = function() while true do end end}).x";
    a_concatenation_that_loops_ends =
        "return setmetatable({}, {__concat = function() while true do end end}) .. 'x'";
    a_length_that_loops_in_a_loop_ends =
        "local t = setmetatable({}, {__len = function() return math.maxinteger end}) for i = 1, #t do end";
    a_replacement_that_loops_ends = "return (('x'):gsub('x', function() while true do end end))";
    a_loader_that_loops_ends = "load(function() while true do end end)";
    coroutines_that_are_kept_end =
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end";
    a_handler_of_nacre_that_loops_ends =
        "pcall(nacre.explain, function() while true do end end) while true do end";
}

cases! { runs_out_of_memory:
    a_string_of_ten_gigabytes_does_not_fit = "local s = ('x'):rep(10 * 1000 * 1000 * 1000)";
    a_string_with_separators_does_not_fit = "local s = ('x'):rep(1 << 20, ('y'):rep(1 << 20))";
    a_string_that_doubles_does_not_fit = "local s = 'x' while true do s = s .. s end";
    a_table_that_grows_does_not_fit = "local t = {} while true do t[#t + 1] = {} end";
    strings_that_are_joined_do_not_fit =
        "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1 << 20) end return table.concat(t)";
    a_replacement_that_grows_does_not_fit = "return (('x'):rep(1 << 20):gsub('x', ('y'):rep(1 << 10)))";
    a_repetition_beyond_all_numbers_does_not_fit = "return ('xx'):rep(math.maxinteger)";
    functions_that_are_kept_do_not_fit =
        "local t = {} while true do t[#t + 1] = function() return t end end";
}

#[test]
fn an_unpacking_of_everything_is_refused() {
    assert!(ends("return table.unpack({}, 1, 100000000)").contains("too many results"));
}

#[test]
fn a_format_that_is_too_wide_is_refused() {
    assert!(ends("return ('%99999d'):format(1)").contains("invalid"));
}

#[test]
fn an_index_that_leads_to_itself_is_refused() {
    let code = "local t = {} setmetatable(t, {__index = t}) return t.x";
    let message = ends(code);
    assert!(message.contains("loop"), "{message}");
}

#[test]
fn a_coroutine_cannot_resume_or_close_itself() {
    let code = "local co co = coroutine.create(function() return coroutine.resume(co) end) \
                print(select(3, coroutine.resume(co))) \
                co = coroutine.create(function() return pcall(coroutine.close, co) end) \
                print((select(2, coroutine.resume(co))))";
    assert_eq!(output(code), "cannot resume non-suspended coroutine\nfalse\n");
}

#[test]
fn an_error_with_a_code_that_is_none_is_a_failure() {
    for code in ["error({ exit_code = 300, message = 'x' })", "error()"] {
        assert_eq!(fault(code).exit_code(), 1, "{code}");
    }
}

#[test]
fn programs_are_not_run_without_a_grant() {
    let fault = fault("nacre.exec({ 'touch', '/var/tmp/nacre-hostile' })");
    assert_eq!((fault.exit_code(), fault.message.as_str()), (7, "the script may run no programs"));
    assert!(fault.hint.is_some_and(|hint| hint.contains("--allow exec")));
    assert!(!std::path::Path::new("/var/tmp/nacre-hostile").exists());
}

#[test]
fn an_explanation_that_fails_leaves_nothing_open() {
    let bench = Bench::new();
    let code =
        "print(pcall(nacre.explain, function() error('x', 0) end)) print(#nacre.explain(function() end))
                local co = coroutine.wrap(function() nacre.explain(function() coroutine.yield() end) end)
                print(pcall(co)) print(#nacre.image.list())";
    let text = bench.output(code);
    assert!(text.starts_with("false\tx\n0\nfalse\t") && text.ends_with("\n0\n"), "{text}");
}

#[test]
fn the_library_for_tests_is_nothing_without_tests() {
    assert!(ends("require('nacre.test')").contains("nacre script test"));
    assert!(ends("require('nacre.nosuch')").contains("no modules"));
    assert!(ends("require('nacre')").contains("no modules"));
}

#[test]
fn handlers_and_timers_are_not_as_many_as_a_script_likes() {
    assert!(
        ends("while true do nacre.on('image.load', function() end) end").contains("at most 1000 handlers")
    );
    let code = "for i = 1, 2000 do nacre.on('image.load', function() end)() end print('taken away')";
    assert_eq!(output(code), "taken away\n");
}

#[test]
fn a_handler_that_is_no_function_is_refused() {
    for code in ["nacre.on('image.load', {})", "nacre.explain(setmetatable({}, {__call = print}))"] {
        assert!(ends(code).contains("must be a function"), "{code}");
    }
}

#[test]
fn memory_that_ran_out_is_there_again() {
    let code = "local ok, e = pcall(string.rep, 'x', 10 ^ 9) print(ok, e) print(#('x'):rep(1 << 20))";
    assert_eq!(output(code), "false\tnot enough memory\n1048576\n");
}

#[test]
fn recursion_ends() {
    for code in [
        "local function f() return 1 + f() end f()",
        "local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) return t.a",
        "local function f() return (('x'):gsub('x', f)) end f()",
        "local function f() pcall(f) error('x') end while true do pcall(f) end",
    ] {
        let message = ends(code);
        assert!(
            message.contains("overflow") || message.contains("instructions") || message.contains("memory"),
            "{code}: {message}"
        );
    }
    let deep = format!("return {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(ends(&deep).contains("overflow"));
}

#[test]
fn finalizers_are_refused_and_closing_is_counted() {
    assert!(ends("setmetatable({}, {__gc = function() while true do end end})").contains("__gc"));
    passes_the_instructions(
        "local x <close> = setmetatable({}, {__close = function() while true do end end})",
    );
    let message =
        ends("local x <close> = setmetatable({}, {__close = function() error('closing') end}) error('body')");
    assert!(message.contains("closing"), "{message}");
    // One that comes later is none.
    assert_eq!(
        output("local m = {} setmetatable({}, m) m.__gc = function() print('no') end collectgarbage()"),
        ""
    );
}

#[test]
fn nothing_of_the_outside_is_there() {
    assert_eq!(
        output(
            "for _, name in ipairs({'os', 'io', 'debug', 'package', 'dofile', 'loadfile', 'warn'}) do print(_G[name]) end \
             print(string.dump)"
        ),
        "nil\n".repeat(8)
    );
    assert!(ends("collectgarbage('stop')").contains("collectgarbage"));
}

#[test]
fn bytecode_is_not_loaded() {
    assert_eq!(output("print(load('\\27Lua'))").lines().count(), 1);
    let code =
        "local f, e = load('\\27LuaT\\0', 'x', 'b') print(f, e) f, e = load('\\27LuaT\\0') print(f, e)";
    let text = output(code);
    assert!(text.lines().all(|line| line.starts_with("nil\t")), "{text}");
    assert!(text.contains("only text") && text.contains("binary"), "{text}");
}

#[test]
fn an_environment_of_its_own_gives_code_nothing_more() {
    assert_eq!(output("print(load('return x', 'c', 't', {x = 1})())"), "1\n");
    assert_eq!(output("print(pcall(load('return print', 'c', 't', nil)))").split('\t').next(), Some("false"));
    assert_eq!(
        output("local e = setmetatable({}, {__index = _G}) print(load('return os', 'c', 't', e)())"),
        "nil\n"
    );
    passes_the_instructions("load(function() return ' ' end)");
    passes_the_instructions("while true do load(function() while true do end end) end");
    passes_the_instructions("load('while true do end', '=nacre', 't', {})()");
}

#[test]
fn handles_and_errors_keep_their_metatables() {
    let code = "local ok, e = pcall(nacre.image.inspect) print(getmetatable(e), pcall(setmetatable, e, {})) \
                print(pcall(setmetatable, nacre, {})) print(getmetatable(nacre.image))";
    let text = output(code);
    assert!(text.starts_with("nacre.error\tfalse\t") && text.contains("protected"), "{text}");
    assert!(text.ends_with("nacre.image\n"), "{text}");
}

#[test]
fn what_a_script_changes_does_not_change_what_guards_it() {
    passes_the_instructions(
        "error, type, select, rawget, tostring = nil, nil, nil, nil, nil coroutine.resume, table.pack = nil, nil \
         while true do pcall(function() while true do end end) end",
    );
    assert_eq!(
        output("local p = print string.format = nil table.concat = nil tostring = nil p('still', 1)"),
        "still\t1\n"
    );
}

#[test]
fn json_that_grows_by_sharing_has_an_end() {
    let message = ends("local t = {} for i = 1, 60 do t = {t, t} end return nacre.json.encode(t)");
    assert!(message.contains("JSON"), "{message}");
    let message = ends("local t = {} t.t = t return nacre.json.encode(t)");
    assert!(message.contains("JSON"), "{message}");
    let message = ends("return nacre.json.decode(('['):rep(100000))");
    assert!(message.contains("JSON"), "{message}");
}

#[test]
fn modules_lie_beside_the_script() {
    let bench = Bench::new();
    bench.file("lib/good.lua", "return { name = ... }");
    bench.file("broken.lua", "local x = = 1");
    bench.file("again.lua", "require('again')");
    std::fs::write(bench.dir().join("../outside.lua"), "return 'outside'").unwrap();
    std::os::unix::fs::symlink("../outside.lua", bench.dir().join("link.lua")).unwrap();
    std::os::unix::fs::symlink("lib/good.lua", bench.dir().join("inner.lua")).unwrap();
    std::os::unix::fs::symlink("/etc", bench.dir().join("etc")).unwrap();
    assert_eq!(
        bench.output("print(require('lib.good').name, require('lib.good') == require('lib.good'))"),
        "lib.good\ttrue\n"
    );
    assert_eq!(bench.output("print(require('inner').name)"), "inner\n");
    for (name, said) in [
        ("../outside", "no name of a module"),
        ("..outside", "no name of a module"),
        ("/etc/passwd", "no name of a module"),
        ("", "no name of a module"),
        ("lib/good", "no name of a module"),
        ("link", "leads out of"),
        ("etc.passwd", "leads out of"),
        ("missing", "there is no module"),
        ("broken", "broken.lua:1:"),
        ("again", "requires itself"),
        ("good\\0", "no name of a module"),
    ] {
        let message = bench.fault(&format!("require('{name}')")).message;
        assert!(message.contains(said), "{name}: {message}");
    }
}

#[test]
fn a_module_that_is_no_file_is_not_waited_for() {
    let bench = Bench::new();
    rustix_fifo(&bench.dir().join("pipe.lua"));
    std::fs::create_dir(bench.dir().join("dir.lua")).unwrap();
    assert!(bench.fault("require('dir')").message.contains("directory"));
    let started = Instant::now();
    let _ = bench.try_run("require('pipe')");
    assert!(started.elapsed() < Duration::from_secs(5));
}

fn rustix_fifo(path: &std::path::Path) {
    let done = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_function_takes_what_it_says_and_no_more() {
    for (code, said) in [
        ("nacre.image.inspect()", "argument 1 of nacre.image.inspect, image, is missing"),
        ("nacre.image.inspect({})", "must be a text, not a table"),
        ("nacre.image.inspect('\\xff')", "bytes that are no text"),
        ("nacre.image.list({}, 1)", "too many arguments"),
        ("nacre.image.list({'x'})", "names with values"),
        ("nacre.container.create({nmae = 'x', image = 'y'})", "unknown option 'nmae', did you mean 'name'?"),
        ("nacre.container.create({name = 'x'})", "option 'image' of nacre.container.create is missing"),
        ("nacre.container.create({image = 'x', command = {1, nil, {}}})", "must be a list of texts"),
        ("nacre.container.create({image = 'x', env = {'A=1'}})", "must be a table of texts by name"),
        ("nacre.container.create({image = 'x', read_only = 'yes'})", "must be true or false"),
        ("nacre.image.save('x', {'y'}, {format = 'zip'})", "cannot be 'zip'"),
        ("nacre.image.lsit()", "there is no nacre.image.lsit, did you mean 'list'?"),
        ("nacre.imgae.list()", "there is no nacre.imgae, did you mean 'image'?"),
        ("nacre.time.sleep(0/0)", "nobody can sleep"),
    ] {
        let fault = fault(code);
        assert!(fault.message.contains(said), "{code}: {}", fault.message);
        assert_eq!(fault.exit_code(), 2, "{code}");
    }
}

#[test]
fn files_are_named_only_where_that_was_granted() {
    let bench = Bench::new();
    for code in [
        "nacre.hash.sha256_file('/etc/passwd')",
        "nacre.image.load('/etc/passwd')",
        "nacre.image.import('/etc/passwd')",
        "nacre.image.save('/etc/cron.d/x', {'a'})",
        "nacre.driver.check('/etc/passwd')",
        "nacre.driver.inspect('/etc/passwd')",
        "nacre.driver.install('/etc/passwd', {})",
    ] {
        assert_eq!(bench.fault(code).exit_code(), 7, "{code}");
    }
    std::os::unix::fs::symlink("/etc/passwd", bench.dir().join("link")).unwrap();
    std::os::unix::fs::symlink("/nowhere/new", bench.dir().join("dangling")).unwrap();
    bench.file("own", "abc");
    let at = |name: &str| {
        format!("print(nacre.hash.sha256_file({:?}))", bench.dir().join(name).display().to_string())
    };
    assert!(bench.output(&at("own")).starts_with("ba7816bf"));
    for (name, code) in [("link", 7), ("../../../../etc/passwd", 7), ("dangling", 3), ("none", 3)] {
        let fault = bench.fault(&at(name));
        assert_eq!(fault.exit_code(), code, "{name}: {}", fault.message);
    }
}
