//! Handlers hear what happens on a real root, in order, and can refuse it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use common::Bench;
use nacre_tests::craft::{Image, Tar};

/// A bench with an archive of `example/small:1`, whose path is in the global `archive`.
fn bench() -> (Bench, String) {
    let bench = Bench::new();
    let image = Image::new("example/small:1").layer(Tar::new().file("etc/motd", b"base\n").finish());
    let archive = bench.dir().join("small.tar");
    std::fs::write(&archive, image.docker_archive().tar()).unwrap();
    let head = format!("archive = {:?} ", archive.display().to_string());
    (bench, head)
}

#[test]
fn what_happens_is_told_in_order_with_its_fields() {
    let (bench, head) = bench();
    let text = bench.output(&format!(
        "{head}
        -- The machine's own disk may be nearly full.
        local function is_told(name) return not name:find('^plan') and not name:find('^space') end
        nacre.on('*', function(e) if is_told(e.event) then print(e.event) end end)
        nacre.image.load(archive)
        local c = nacre.container.create({{ image = 'example/small:1', name = 'box', command = {{ 'x' }} }})
        c:mount() c:umount() c:rename('crate')
        nacre.image.tag('example/small:1', 'other:1')
        c:commit({{ name = 'made:1' }})
        c:remove()
        nacre.image.remove('made:1')"
    ));
    let expected = "image.load layer.create layer.created image.loaded container.create container.created \
                    container.mount container.mounted container.umount container.umounted container.rename \
                    container.renamed image.tag image.tagged image.commit layer.create layer.created image.committed \
                    container.remove container.removed image.remove layer.remove layer.removed image.removed";
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn events_have_the_fields_that_are_told_of_them() {
    let (bench, head) = bench();
    let text = bench.output(&format!(
        "{head}
        local known = {{}}
        for _, kind in ipairs(nacre.event.names()) do known[kind.name] = kind end
        local seen = 0
        nacre.on('*', function(e)
          for _, field in ipairs(known[e.event].fields) do
            if e[field] == nil and field ~= 'name' then print(e.event .. ' lacks ' .. field) end
          end
          for field in pairs(e) do
            local told = field == 'event' or field == 'refuse'
            for _, one in ipairs(known[e.event].fields) do told = told or one == field end
            if not told then print(e.event .. ' has ' .. field) end
          end
          seen = seen + 1
        end)
        nacre.image.load(archive)
        local c = nacre.container.create({{ image = 'example/small:1', command = {{ 'x' }} }})
        c:mount() c:umount() c:rename('crate') c:commit()
        c:remove() nacre.image.prune({{ all = true }})
        nacre.driver.select('vfs')
        print(seen > 20)"
    ));
    assert_eq!(text, "true\n");
}

#[test]
fn a_refusal_ends_it_before_anything_was_done() {
    let (bench, head) = bench();
    let text = bench.output(&format!(
        "{head}
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok, e.code, e.message) end
        local off = nacre.on('image.load', function(e) e:refuse('nothing from ' .. e.source:match('[^/]+$')) end)
        try(nacre.image.load, archive)
        print(#nacre.image.list(), #nacre.layer.list())
        off()
        off = nacre.on('layer.create', function(e) pcall(e.refuse, e, 'no layers') end)
        try(nacre.image.load, archive)
        print(#nacre.image.list(), #nacre.layer.list(), #nacre.system.check())
        off()
        off = nacre.on('plan.run', function(e) e:refuse('no plan') end)
        try(nacre.image.load, archive)
        off()
        nacre.image.load(archive)
        nacre.on('container.create', function(e) if e.name ~= 'web' then e:refuse('only web') end end)
        try(nacre.container.create, {{ image = 'example/small:1', name = 'box' }})
        local c = nacre.container.create({{ image = 'example/small:1', name = 'web', command = {{ 'x' }} }})
        nacre.on('container.remove', function(e) if e.name == 'web' then e:refuse() end end)
        try(c.remove, c)
        print(#nacre.container.prune().deleted, c.name, #nacre.system.check())"
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("false\tpermission\timage.load was refused by "), "{text}");
    assert!(lines[0].ends_with("main.lua: nothing from small.tar"), "{text}");
    assert_eq!((lines[1], lines[3]), ("0\t0", "0\t0\t0"), "{text}");
    assert!(lines[2].ends_with(": no layers") && lines[4].ends_with(": no plan"), "{text}");
    assert!(lines[5].ends_with(": only web") && lines[6].ends_with(": no reason is given"), "{text}");
    assert_eq!(lines[7], "0\tweb\t0", "{text}");
}

#[test]
fn a_fault_in_a_handler_changes_nothing_and_handlers_keep_their_order() {
    let (bench, head) = bench();
    let text = bench.output(&format!(
        "{head}
        nacre.on('image.load', function() error('first') end)
        nacre.on('image.*', function(e) print('second', e.event) end)
        nacre.on('image.loaded', function(e) local x = e.nothing.at_all end)
        nacre.on('image.loaded', function(e) e:refuse('too late') end)
        nacre.on('image.loaded', function(e) print('last', e.references[1]) end)
        print(#nacre.image.load(archive))"
    ));
    assert_eq!(text, "second\timage.load\nsecond\timage.loaded\nlast\texample/small:1\n1\n");
}

#[test]
fn a_handler_can_use_storage_unless_it_is_locked() {
    let (bench, head) = bench();
    let text = bench.output(&format!(
        "{head}
        nacre.on('image.loaded', function(e) nacre.image.tag(e.id, 'also:1') end)
        nacre.on('layer.created', function(e) print(pcall(nacre.image.list)) end)
        nacre.image.load(archive)
        print(#nacre.image.list()[1].references)"
    ));
    assert_eq!(text, "false\tstorage cannot be used in a handler of layer.created\n2\n");
}

#[test]
fn a_handler_cannot_call_itself_forever() {
    let (bench, head) = bench();
    let text = bench.output(&format!(
        "{head}
        nacre.image.load(archive)
        local depth, deepest, said = 0, 0, nil
        nacre.on('container.created', function()
          depth = depth + 1
          deepest = math.max(deepest, depth)
          local ok, e = pcall(nacre.container.create, {{ image = 'example/small:1', command = {{ 'x' }} }})
          if not ok then said = e.message end
          depth = depth - 1
        end)
        nacre.container.create({{ image = 'example/small:1', command = {{ 'x' }} }})
        print(deepest, said, #nacre.container.list())
        nacre.container.prune()"
    ));
    let reason = "container.create was refused by nacre: handlers called one another 8 deep";
    assert_eq!(text, format!("8\t{reason}\t8\n"));
}

#[test]
fn timers_are_no_part_of_a_script_that_is_run() {
    let (bench, _) = bench();
    assert_eq!(bench.output("nacre.every('1s', print) print('on')"), "on\n");
    for (code, said) in [
        ("nacre.every('often', print)", "no span"),
        ("nacre.every('0s', print)", "cannot be called every 0s"),
        ("nacre.every('1h', 1)", "must be a function"),
        ("nacre.on('container.craeted', print)", "did you mean 'container.created'?"),
        ("nacre.on('image.load')", "is missing"),
    ] {
        let fault = bench.fault(code);
        assert!(fault.message.contains(said) && fault.exit_code() == 2, "{code}: {}", fault.message);
    }
}
