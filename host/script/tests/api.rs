//! The API on a real root: what scripts get is what the engine gives.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{Bench, output};
use nacre_script::{api, doc};
use nacre_tests::craft::{Image, Tar};

/// A bench with the image `example/small:1` loaded by a script.
fn loaded() -> Bench {
    let bench = Bench::new();
    let base = Tar::new().dir("etc").file("etc/motd", b"base\n").dir("d").file("d/f", b"old\n").finish();
    let image =
        Image::new("example/small:1").layer(base).layer(Tar::new().file("etc/top", b"top\n").finish());
    std::fs::write(bench.dir().join("small.tar"), image.docker_archive().tar()).unwrap();
    let load = format!(
        "local images = nacre.image.load({:?}) print(#images, images[1].references[1])",
        bench.dir().join("small.tar").display().to_string()
    );
    assert_eq!(bench.output(&load), "1\texample/small:1\n");
    bench
}

#[test]
fn all_that_is_in_the_table_is_registered_and_the_other_way_round() {
    let code = "for area, t in pairs(nacre) do
        if type(t) == 'function' then print(area, 'function')
        else for name, v in pairs(t) do print(area .. '.' .. name, type(v)) end end
    end";
    let found: BTreeSet<String> = output(code).lines().map(str::to_owned).collect();
    let registered: BTreeSet<String> = api::AREAS
        .iter()
        .flat_map(|area| {
            let functions = area.functions.iter().map(|f| format!("{}.{}\tfunction", area.name, f.name));
            functions.chain(area.fields.iter().map(|f| format!("{}.{}\tuserdata", area.name, f.name)))
        })
        .chain(api::FUNCTIONS.iter().map(|f| format!("{}\tfunction", f.name)))
        .collect();
    assert_eq!(found, registered);
    assert!(registered.len() > 35, "{}", registered.len());
}

#[test]
fn each_function_is_in_the_reference_and_in_the_annotations() {
    let (markdown, meta) = (doc::markdown(), doc::meta());
    for area in api::AREAS {
        for function in area.functions {
            let name = format!("nacre.{}.{}", area.name, function.name);
            assert!(markdown.contains(&format!("\n### {name}(")), "{name}");
            assert!(meta.contains(&format!("\nfunction {name}(")), "{name}");
            assert!(function.doc.ends_with('.') && !function.example.is_empty(), "{name}");
        }
    }
    for function in api::FUNCTIONS {
        let name = format!("nacre.{}", function.name);
        assert!(markdown.contains(&format!("\n### {name}(")), "{name}");
        assert!(meta.contains(&format!("\nfunction {name}(")), "{name}");
    }
    for class in api::CLASSES {
        for method in class.methods {
            let name = format!("{}:{}", class.variable, method.name);
            assert!(
                markdown.contains(&format!("\n### {name}(")) && meta.contains(&format!("\nfunction {name}(")),
                "{name}"
            );
        }
    }
    // The annotations are Lua themselves, and the examples are.
    let source = nacre_script::Source::text("meta.lua", &meta);
    assert_eq!(nacre_script::check::check(&source).unwrap(), []);
    let methods = api::CLASSES.iter().flat_map(|class| class.methods);
    let all = api::AREAS.iter().flat_map(|area| area.functions).chain(methods).chain(api::FUNCTIONS);
    for function in all {
        let source = nacre_script::Source::text("example.lua", function.example);
        assert_eq!(nacre_script::check::check(&source).unwrap(), [], "{}", function.example);
    }
}

#[test]
fn images_are_listed_named_and_removed() {
    let bench = loaded();
    let text = bench.output(
        "local image = nacre.image.get('example/small:1')
        print(#nacre.image.list(), image.references[1], image.containers, image.size, #nacre.image.chain(image.id))
        nacre.image.tag(image.id, 'other:2')
        print(#nacre.image.get('other:2').references, nacre.image.get('none'))
        print(nacre.image.inspect('other:2').Id == image.id, #nacre.image.history(image.id) >= 2)
        print(#nacre.layer.list(), nacre.layer.inspect(nacre.image.chain(image.id)[1]).ChainID == nacre.image.chain(image.id)[1])
        print(nacre.image.remove('other:2').untagged[1], #nacre.image.prune({ all = true }).deleted > 0, #nacre.image.list())",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("1\texample/small:1\t0\t"), "{text}");
    assert!(lines[0].ends_with("\t2"), "{text}");
    assert_eq!(lines[1..], ["2\tnil", "true\ttrue", "2\ttrue", "other:2\ttrue\t0"]);
}

#[test]
fn a_container_is_an_object() {
    let bench = loaded();
    let text = bench.output(
        "local c = nacre.container.create({ image = 'example/small:1', name = 'box', command = { 'x' }, labels = { a = 'b' } })
        print(c.name, c.state, c.labels.a, #c.id, c == nacre.container.get('box'), tostring(c) == 'container ' .. c.id:sub(1, 12))
        local path = c:mount()
        print(c.mounted, path:sub(1, 1))
        c:umount()
        for path, kind in c:diff() do print(kind, path) end
        c:rename('crate')
        print(c.name, c:inspect().Name, c:running(), nacre.container.get('box'))
        local id = c:commit({ name = 'example/more:1', message = 'more' })
        print(nacre.image.get('example/more:1').id == id, #nacre.container.list(), c:why('/etc/motd').path)
        c:remove()
        print(#nacre.container.list())",
    );
    assert_eq!(
        text,
        "box\tcreated\tb\t64\ttrue\ttrue\ntrue\t/\ncrate\t/crate\tfalse\tnil\ntrue\t1\t/etc/motd\n0\n"
    );
}

#[test]
fn changes_are_gone_through_one_by_one() {
    let bench = loaded();
    let place = bench.output(
        "local c = nacre.container.create({ image = 'example/small:1', name = 'box', command = { 'x' } }) print(c:mount())",
    );
    let place = std::path::Path::new(place.trim());
    std::fs::write(place.join("d/new"), b"x").unwrap();
    std::fs::remove_file(place.join("d/f")).unwrap();
    let walk =
        "local c = nacre.container.get('box') c:umount() for path, kind in c:diff() do print(kind, path) end";
    let text = bench.output(walk);
    let lines: BTreeSet<&str> = text.lines().collect();
    assert_eq!(lines, BTreeSet::from(["C\t/d", "A\t/d/new", "D\t/d/f"]));
}

#[test]
fn what_is_gone_is_an_error_with_a_code() {
    let bench = loaded();
    let text = bench.output(
        "local c = nacre.container.create({ image = 'example/small:1', command = { 'x' } })
        c:remove()
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok, e.code, e.exit_code, e.hint ~= nil, tostring(e) == e.message) end
        try(c.remove, c)
        try(c.mount, c)
        try(function() return c.name end)
        try(nacre.image.inspect, 'none:1')
        try(nacre.container.create, { image = 'none:1' })
        try(function() return c.nmae end)
        try(c.remove)
        try(nacre.image.load, '/etc/shadow')",
    );
    let codes: Vec<&str> = text.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    let gone = "not_found";
    assert_eq!(codes, [gone, gone, gone, gone, gone, "usage", "usage", "permission"], "{text}");
    assert!(text.lines().all(|line| line.starts_with("false\t") && line.ends_with("\ttrue")), "{text}");
}

#[test]
fn handles_are_what_they_are() {
    let bench = loaded();
    let text = bench.output(
        "local c = nacre.container.create({ image = 'example/small:1', name = 'box', command = { 'x' } })
        print(getmetatable(c), (pcall(setmetatable, c, {})), (pcall(rawset, c, 'id', 'x')), (pcall(function() c.id = 'x' end)))
        print((pcall(c.inspect, nacre)), (pcall(c.inspect, setmetatable({}, { __index = c }))), c == 1, c == {})
        c:remove()",
    );
    assert_eq!(text, "false\tfalse\tfalse\tfalse\nfalse\tfalse\tfalse\tfalse\n");
}

#[test]
fn an_uncaught_error_tells_the_lines_of_the_script() {
    let bench = loaded();
    bench.file("lib.lua", "return function()\n  nacre.image.inspect('none:1')\nend");
    let uncaught = bench.uncaught("local function outer()\n  require('lib')()\n  return 1\nend\nouter()");
    assert_eq!(uncaught.fault.exit_code(), 3);
    let lines: Vec<&str> =
        uncaught.traceback.iter().map(|line| line.rsplit('/').next().unwrap_or_default()).collect();
    assert_eq!(lines[0].split(',').next(), Some("lib.lua:2"), "{lines:?}");
    assert_eq!(lines[1].split(',').next(), Some("main.lua:2"), "{lines:?}");
    assert_eq!(lines[2..], ["main.lua:5"]);
    let plain = bench.uncaught("local t = nil\nprint(t.x)");
    assert!(
        plain.fault.message.contains("main.lua:2: attempt to index a nil value"),
        "{}",
        plain.fault.message
    );
    assert_eq!(bench.try_run("return 7").unwrap(), 7);
    assert_eq!(bench.fault("return 256").exit_code(), 2);
}

#[test]
fn the_rest_answers() {
    let bench = loaded();
    let text = bench.output(
        "print(nacre.system.info().images, nacre.system.df()[1].kind, #nacre.system.check())
        local found = false
        for _, d in ipairs(nacre.driver.list()) do found = found or d.name == 'overlay2' end
        print(found, nacre.driver.inspect('overlay2').Name, nacre.driver.selection().choice)
        print(#nacre.driver.release(), #nacre.driver.migratable('vfs') > 0, nacre.driver.migrate('example/small:1', 'vfs').moved)
        print(nacre.json.encode({ 1, 'a', nacre.json.null }), nacre.json.decode('{\"a\": [1, null]}').a[2] == nacre.json.null)
        print(nacre.json.encode(nacre.json.decode('{\"list\": [], \"object\": {}}')))
        print(nacre.hash.sha256('abc'):sub(1, 8), nacre.time.format(0), nacre.time.parse('1970-01-01T00:01:00Z'))
        nacre.log.info('done') nacre.time.sleep(0.001) print(nacre.time.now() > 1e9)",
    );
    assert_eq!(
        text,
        "1\tImages\t0\ntrue\toverlay2\toverlay2\n0\ttrue\ttrue\n[1,\"a\",null]\ttrue\n{\"list\":[],\"object\":{}}\n\
         ba7816bf\t1970-01-01T00:00:00Z\t60.0\ntrue\n"
    );
}

#[test]
fn images_and_trees_are_written_where_the_script_may() {
    let bench = loaded();
    let at = |name: &str| format!("{:?}", bench.dir().join(name).display().to_string());
    let code = format!(
        "nacre.image.save({}, {{ 'example/small:1' }}, {{ format = 'oci-archive' }})
        local c = nacre.container.create({{ image = 'example/small:1', command = {{ 'x' }} }})
        c:export({})
        print(nacre.image.get(nacre.image.import({}, {{ name = 'flat:1', changes = {{ 'CMD [\"x\"]' }} }})).references[1])
        c:remove() print(#nacre.container.prune().deleted)",
        at("saved.tar"),
        at("tree.tar"),
        at("tree.tar")
    );
    assert_eq!(bench.output(&code), "flat:1\n0\n");
    assert!(bench.dir().join("saved.tar").metadata().unwrap().len() > 1000);
}

/// The fields of a class in the annotations, each with whether it may be missing.
fn annotated(meta: &str, class: &str) -> Vec<(String, bool)> {
    let head = format!("---@class {class}\n");
    let fields = meta.split_once(&head).unwrap().1.lines().map_while(|line| line.strip_prefix("---@field "));
    fields
        .map(|field| field.split_once(' ').unwrap())
        .map(|(name, kind)| (name.to_owned(), kind.contains('?')))
        .collect()
}

#[test]
fn the_annotations_have_the_fields_that_values_have() {
    let (bench, meta) = (loaded(), doc::meta());
    let values = [
        ("nacre.Image", "nacre.image.list()[1]"),
        ("nacre.ContainerSummary", "nacre.container.list({ sizes = true })[1]"),
        ("nacre.Layer", "nacre.layer.list()[2]"),
        ("nacre.Driver", "nacre.driver.list()[1]"),
        ("nacre.Entry", "nacre.union.list('example/small:1', '/')[1]"),
        ("nacre.Node", "nacre.union.stat('example/small:1', '/etc/motd')"),
        ("nacre.LayerChange", "nacre.layer.changes(nacre.image.chain('example/small:1')[1])()"),
        ("nacre.Mount", "nacre.mount.list()[1]"),
        ("nacre.Space", "nacre.system.space()"),
        ("nacre.DfRow", "nacre.system.df()[1]"),
        ("nacre.Removed", "nacre.image.remove('example/small:1', { force = true })"),
        ("nacre.Error", "select(2, pcall(nacre.image.inspect, 'none:1'))"),
    ];
    bench.output("nacre.container.create({ image = 'example/small:1', command = { 'x' } }):mount()");
    for (class, value) in values {
        let text = bench.output(&format!("for name in pairs({value}) do print(name) end"));
        let (found, known): (BTreeSet<&str>, _) = (text.lines().collect(), annotated(&meta, class));
        for name in &found {
            assert!(known.iter().any(|(known, _)| known == name), "{class} lacks {name}");
        }
        for (name, optional) in &known {
            assert!(*optional || found.contains(name.as_str()), "{class} has no {name}: {found:?}");
        }
    }
}

#[test]
fn plans_are_values_and_nothing_is_changed() {
    let bench = loaded();
    let text = bench.output(
        "local c = nacre.container.create({ image = 'example/small:1', name = 'box', command = { 'x' } })
        local plans = nacre.explain(function() c:remove() end)
        print(#plans, plans[1].operation, plans[1].driver, #plans[1].steps > 0, plans[1].steps[1].step)
        print(#nacre.container.list(), #nacre.explain(function() end))
        local run = {}
        for _, plan in ipairs(nacre.explain(function()
          nacre.container.run({ image = 'example/small:1', command = { 'x' } })
        end)) do run[#run + 1] = plan.operation end
        print(table.concat(run, ' '), #nacre.container.list())
        local function try(f) local ok, e = pcall(nacre.explain, f) print(ok, e.code, e.message) end
        try(function() c:rename('other') end)
        try(function() nacre.image.tag('example/small:1', 'x:2') end)
        try(function() nacre.explain(function() end) end)
        try(function() error({ code = 'usage', exit_code = 2, message = 'mine' }) end)
        print(c.name, #nacre.image.list()[1].references)
        c:remove()",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1\tremove\toverlay2\ttrue\tremove-tree", "{text}");
    assert_eq!(lines[1], "1\t0");
    assert_eq!(lines[2], "create mount unmount remove\t1");
    assert_eq!(lines[3], "false\tusage\ta new name has no plan that could be told in its place");
    assert!(lines[4].starts_with("false\tusage\ta name has no plan"), "{text}");
    assert!(lines[5].contains("plans are asked for already"), "{text}");
    assert_eq!(lines[6..], ["false\tusage\tmine", "box\t1"]);
}

#[test]
fn layers_stand_on_one_another_in_a_tree() {
    let bench = loaded();
    let text = bench.output(
        "local tree = nacre.layer.tree()
        print(#tree, #tree[1].above, #tree[1].above[1].above, tree[1].above[1].parent == tree[1].chain_id)
        print(#nacre.layer.tree('example/small:1'), (pcall(nacre.layer.tree, 'none')))
        print(nacre.image.why('example/small:1', '/etc/top').path, nacre.system.version().lua)
        print(nacre.driver.selection({ policy = 'selection' }).policy, nacre.system.prune({ all = true }).bytes > 0)",
    );
    assert_eq!(text, "1\t1\t0\ttrue\n1\tfalse\n/etc/top\t5.4\nselection\ttrue\n");
}

#[test]
fn a_driver_is_put_to_the_suite() {
    let bench = Bench::new();
    let text = bench.output(
        "local report = nacre.driver.test('overlay2', { cases = { 'layers/base' } })
        print(#report.outcomes, report.outcomes[1].verdict, report.driver.name)
        print(select(2, pcall(nacre.driver.test, 'overlay2', { cases = { 'nosuch' } })).code)",
    );
    assert_eq!(text, "1\tpassed\toverlay2\nusage\n");
}

#[test]
fn programs_are_run_where_that_was_granted() {
    let bench = Bench::new();
    let mut grants = nacre_script::Grants::default();
    grants.allow("exec").unwrap();
    let output = |code: &str| bench.output_granted(grants.clone(), code);
    assert_eq!(
        output(
            "local r = nacre.exec({ 'sh', '-c', 'cat; echo $A >&2; exit 3' }, { stdin = 'in\\0put', env = { A = 'x y' } })
            print(r.code, #r.stdout, r.stderr)
            print(nacre.exec({ 'pwd' }, { workdir = '/etc' }).stdout, nacre.exec({ 'echo', '; exit', '$HOME' }).stdout)
            print(nacre.exec({ 'sh', '-c', 'kill -9 $$' }).code, nacre.exec({ 'cat' }).stdout == '')
            print(#nacre.exec({ 'head', '-c', '1000000', '/dev/zero' }).stdout, #nacre.exec({ 'true' }, { stdin = ('x'):rep(1 << 20) }).stdout)"
        ),
        "3\t6\tx y\n\n/etc\n\t; exit $HOME\n\n137\ttrue\n1000000\t0\n"
    );
    let text = output(
        "local function try(...) local ok, e = pcall(nacre.exec, ...) print(e.code, e.message) end
        try({ '/no/such/program' }) try({}) try({ 'sleep', '60' }, { timeout = 0.2 })
        try({ 'sh', '-c', 'sleep 60 & echo' }, { timeout = 0.2 }) try({ 'true' }, { timeout = -1 })
        try({ 'head', '-c', '20000000', '/dev/zero' }) try({ '/etc/passwd' })",
    );
    let codes: Vec<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(codes, ["not_found", "usage", "failed", "failed", "usage", "failed", "permission"], "{text}");
    assert_eq!(bench.fault("nacre.exec({ 'true' })").exit_code(), 7);
}
