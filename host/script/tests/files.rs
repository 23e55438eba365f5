//! Files, tars and trees through the API.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::Write;

use common::Bench;
use nacre_tests::craft::{Header, Image, Tar};

/// A bench with an image of two layers, loaded; in its scripts `dir` is the folder that they may name.
fn loaded() -> (Bench, String) {
    let bench = Bench::new();
    let base =
        Tar::new().dir("etc").file("etc/motd", b"base\n").dir("d").file("d/f", b"old\n").symlink("l", "etc");
    let top = Tar::new().dir("etc").file("etc/top", b"top\n").file("etc/.wh.motd", b"").finish();
    let image = Image::new("example/small:1").layer(base.finish()).layer(top);
    std::fs::write(bench.dir().join("small.tar"), image.docker_archive().tar()).unwrap();
    let head = format!("local dir = {:?} ", bench.dir().display().to_string());
    bench.output(&format!("{head} nacre.image.load(dir .. '/small.tar')"));
    (bench, head)
}

#[test]
fn files_are_written_read_listed_and_removed() {
    let (bench, head) = loaded();
    let text = bench.output(&format!(
        "{head}
        print(nacre.fs.mkdir(dir .. '/a/b'), nacre.fs.mkdir(dir .. '/a/b'), nacre.fs.exists(dir .. '/a/x'))
        nacre.fs.write(dir .. '/a/f', 'one\\0two', {{ mode = 384 }})
        print(#nacre.fs.read(dir .. '/a/f'), nacre.fs.stat(dir .. '/a/f').mode, nacre.fs.stat(dir .. '/a/none'))
        nacre.fs.write(dir .. '/a/f', 'three')
        nacre.fs.rename(dir .. '/a/f', dir .. '/a/b/g')
        print(nacre.fs.read(dir .. '/a/./b/../b/g'), nacre.fs.list(dir .. '/a')[1].kind, #nacre.fs.list(dir .. '/a/b'))
        print(nacre.fs.remove(dir .. '/a/none'), pcall(nacre.fs.remove, dir .. '/a'))
        print(nacre.fs.remove(dir .. '/a', {{ recursive = true }}), nacre.fs.exists(dir .. '/a'))
        local temporary = nacre.fs.temp_dir(dir)
        nacre.fs.write(temporary .. '/x', 'x')
        print(nacre.fs.exists(temporary .. '/x'))"
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["true\tfalse\tfalse", "7\t384\tnil", "three\tdirectory\t1"]);
    assert!(lines[3].starts_with("false\tfalse\t"), "{text}");
    assert_eq!(lines[4..], ["true\tfalse", "true"]);
    let left: Vec<_> = std::fs::read_dir(bench.dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "what was temporary is gone: {left:?}");
}

#[test]
fn no_file_outside_is_reached() {
    let (bench, head) = loaded();
    let outside = bench.root().with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(&outside, bench.dir().join("out")).unwrap();
    std::os::unix::fs::symlink("../outside/secret", bench.dir().join("leak")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", bench.dir().join("zero")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.dir().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let text = bench.output(&format!(
        "{head}
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok, ok or e.code) end
        try(nacre.fs.read, dir .. '/leak')
        try(nacre.fs.read, dir .. '/out/secret')
        try(nacre.fs.read, dir .. '/../outside/secret')
        try(nacre.fs.read, '/etc/passwd')
        try(nacre.fs.write, dir .. '/out/new', 'x')
        try(nacre.fs.mkdir, dir .. '/out/new')
        try(nacre.fs.rename, dir .. '/small.tar', dir .. '/out/small.tar')
        try(nacre.fs.remove, dir .. '/out/secret')
        try(nacre.fs.remove, dir, {{ recursive = true }})
        try(nacre.fs.read, dir .. '/zero')
        try(nacre.fs.read, dir .. '/pipe')
        try(nacre.fs.read, dir)
        try(nacre.fs.temp_dir, '/tmp')
        try(nacre.tar.entries, dir .. '/leak')
        try(nacre.tar.write, dir .. '/out/x.tar', dir)
        try(nacre.tar.extract, dir .. '/small.tar', dir .. '/out')
        try(nacre.fs.read, dir .. '/small.tar', {{ max = 10 }})
        try(nacre.fs.write, dir .. '/x', 'x', {{ mode = 1e6 }})"
    ));
    assert!(text.lines().all(|line| line.starts_with("false\t")), "{text}");
    let refused = text.lines().filter(|line| line.ends_with("permission")).count();
    assert!(refused >= 11, "{text}");
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    // The link is what is removed, and nothing behind it.
    bench.output(&format!("{head} assert(nacre.fs.remove(dir .. '/out', {{ recursive = true }}))"));
    assert!(outside.join("secret").exists());
}

#[test]
fn a_script_writes_no_more_than_it_may() {
    let (bench, head) = loaded();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let header = Header { size: 2 << 30, ..Header::new("zeros", b'0') };
    bomb.write_all(&header.bytes()).unwrap();
    (0..2 << 10).for_each(|_| bomb.write_all(&[0; 1 << 20]).unwrap());
    std::fs::write(bench.dir().join("bomb.tgz"), bomb.finish().unwrap()).unwrap();
    let text = bench.output(&format!(
        "{head}
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok, ok or e.code) end
        nacre.fs.mkdir(dir .. '/to')
        local big = ('x'):rep(64 << 20) for i = 1, 15 do nacre.fs.write(dir .. '/same', big) end
        try(nacre.tar.write, dir .. '/all.tar', dir .. '/to')
        try(nacre.tar.extract, dir .. '/bomb.tgz', dir .. '/to')
        try(nacre.tar.write, dir .. '/more.tar', dir)
        try(nacre.tar.extract, dir .. '/bomb.tgz', dir .. '/to')
        try(nacre.fs.write, dir .. '/same', big)
        print(nacre.fs.exists(dir .. '/more.tar'), nacre.fs.stat(dir .. '/same').size == #big)"
    ));
    let expected =
        ["true\ttrue", "false\tbad_archive", "false\tno_space", "false\tbad_archive", "false\tno_space"];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..5], expected);
    assert_eq!(lines[5], "false\ttrue");
    let unpacked = bench.dir().join("to/zeros").metadata().map_or(0, |file| file.len());
    assert!(unpacked <= 64 << 20, "{unpacked}");
}

#[test]
fn tars_are_read_written_and_unpacked() {
    let (bench, head) = loaded();
    let tar =
        Tar::new().dir("./a").file("./a/f", b"content").symlink("a/l", "f").hardlink("a/h", "./a/f").finish();
    std::fs::write(bench.dir().join("x.tar"), &tar).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar).unwrap();
    std::fs::write(bench.dir().join("x.tgz"), packed.finish().unwrap()).unwrap();
    std::fs::write(bench.dir().join("cut.tar"), &tar[..1100]).unwrap();
    std::fs::write(bench.dir().join("none.tar"), vec![b'x'; 2000]).unwrap();
    let list = |name: &str| {
        bench.output(&format!(
            "{head} for e in nacre.tar.entries(dir .. '/{name}') do print(e.kind, e.name, e.size, e.target) end"
        ))
    };
    let listed = list("x.tar");
    assert_eq!(listed, list("x.tgz"));
    assert!(listed.contains("file\t./a/f\t7\tnil") && listed.contains("link\ta/l\t0\tf"), "{listed}");
    let text = bench.output(&format!(
        "{head}
        print(nacre.tar.read(dir .. '/x.tgz', 'a/f'), nacre.tar.read(dir .. '/x.tar', 'none'))
        print(pcall(nacre.tar.read, dir .. '/x.tar', 'a/f', {{ max = 3 }}))
        nacre.fs.mkdir(dir .. '/to') nacre.tar.extract(dir .. '/x.tar', dir .. '/to')
        print(nacre.fs.read(dir .. '/to/a/h'))
        nacre.tar.write(dir .. '/y.tar', dir .. '/to') nacre.tar.write(dir .. '/z.tar', dir .. '/to')
        print(nacre.hash.sha256_file(dir .. '/y.tar') == nacre.hash.sha256_file(dir .. '/z.tar'))
        for _, bad in ipairs({{ 'cut.tar', 'none.tar' }}) do
          local ok, e = pcall(function() for _ in nacre.tar.entries(dir .. '/' .. bad) do end end) print(ok, e.code)
        end"
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "content\tnil");
    assert!(lines[1].starts_with("false\t"), "{text}");
    assert_eq!(lines[2..4], ["content", "true"]);
    assert_eq!(lines[4..], ["false\tbad_archive", "false\tbad_archive"]);
}

#[test]
fn a_tree_is_read_without_a_mount() {
    let (bench, _) = loaded();
    let text = bench.output(
        "local image = 'example/small:1'
        for _, e in ipairs(nacre.union.list(image, 'l')) do print(e.kind, e.name) end
        print(nacre.union.read(image, '/l/top'), nacre.union.stat(image, '/l').target, nacre.union.stat(image, '/etc/motd'))
        print(nacre.union.stat(image, '/d/f').layer == nacre.image.inspect(image).RootFS.Layers[1])
        local paths = {} for node in nacre.union.walk(image) do table.insert(paths, node.path) end
        print(table.concat(paths, ' '))
        local below = {} for node in nacre.union.walk(image, '/l/..//d') do table.insert(below, node.path) end
        print(table.concat(below, ' '), #nacre.mount.list())
        local next = nacre.union.walk(image) for i = 1, 3 do next() end
        print((pcall(nacre.union.read, image, '/etc')), (pcall(nacre.union.read, image, '/none')), (pcall(nacre.union.walk, 'none')))",
    );
    assert_eq!(
        text,
        "file\ttop\ntop\n\tetc\tnil\ntrue\n/ /d /d/f /etc /etc/top /l\n/d /d/f\t0\nfalse\tfalse\tfalse\n"
    );
}

#[test]
fn a_container_is_written_without_a_mount() {
    let (bench, _) = loaded();
    let write = "local c = nacre.container.create({ image = 'example/small:1', name = 'box', command = { 'x' } })
        nacre.union.write('box', '/l/new', 'new', { mode = 448 })
        nacre.union.write('box', '/etc/top', 'more')
        nacre.union.mkdir('box', '/made') nacre.union.link('box', '/made/link', '../etc/new')
        nacre.union.rename('box', '/d/f', '/made/f') nacre.union.remove('box', '/d', { recursive = true })
        print(nacre.union.read('box', '/made/link'), nacre.union.read('box', '/made/f'), nacre.union.stat('box', '/etc/new').mode)
        for path, kind in c:diff() do print(kind, path) end";
    let text = bench.output(write);
    let expected =
        "new\told\n\t448\nD\t/d\nC\t/etc\nA\t/etc/new\nC\t/etc/top\nA\t/made\nA\t/made/f\nA\t/made/link\n";
    assert_eq!(text, expected);
    // The kernel shows the same, and what is mounted is not written behind its back.
    let text = bench.output(
        "local c = nacre.container.get('box')
        local function try(f, ...) local ok, e = pcall(f, ...) print(ok, ok or e.code) end
        try(nacre.union.mkdir, 'box', '/made') try(nacre.union.remove, 'box', '/made') try(nacre.union.write, 'box', '/made', 'x')
        try(nacre.union.write, 'box', '/none/x', 'x') try(nacre.union.write, 'box', '/etc/top/x', 'x') try(nacre.union.remove, 'box', '/')
        print(c:mount()) try(nacre.union.write, 'box', '/x', 'x')",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0..3], ["false\tconflict"; 3], "{text}");
    assert_eq!(lines[3], "false\tnot_found");
    assert!(lines[4..6].iter().all(|line| line.starts_with("false\t")), "{text}");
    let mounted = std::path::Path::new(lines[6]);
    assert_eq!(std::fs::read(mounted.join("made/link")).unwrap(), b"new");
    assert!(!mounted.join("d").exists());
    assert_eq!(lines[7], "false\tconflict");
    bench.output(
        "local c = nacre.container.get('box') c:umount() c:remove() assert(#nacre.system.check() == 0)",
    );
}

#[test]
fn a_driver_of_whole_trees_is_written_by_other_ways() {
    let (bench, head) = loaded();
    let text = bench.output(&format!(
        "{head} nacre.driver.migrate('example/small:1', 'vfs') nacre.driver.select('vfs')
        local c = nacre.container.create({{ image = 'example/small:1', name = 'box', command = {{ 'x' }} }})
        local ok, e = pcall(nacre.union.write, 'box', '/x', 'x') print(ok, e.code, e.hint ~= nil)
        nacre.fs.write(dir .. '/n', 'note') c:copy_in(dir .. '/n', '/etc') print(nacre.union.read('box', '/etc/n'))
        c:copy_out('/etc/.', dir .. '/etc') print(nacre.fs.read(dir .. '/etc/n'))
        for change in nacre.layer.changes(nacre.image.chain('example/small:1')[2]) do print(change.kind, change.path, change.hidden) end"
    ));
    assert_eq!(text, "false\tusage\ttrue\nnote\nnote\nC\t/etc\t0\nD\t/etc/motd\t5\nA\t/etc/top\t0\n");
}

#[test]
fn layers_tell_what_they_have_and_what_they_hide() {
    let (bench, head) = loaded();
    let text = bench.output(&format!(
        "{head} local chain = nacre.image.chain('example/small:1')
        for node in nacre.layer.entries(chain[2]) do print(node.kind, node.path) end
        for change in nacre.layer.changes(chain[2]) do print(change.kind, change.path, change.size, change.hidden) end
        nacre.layer.save(chain[1], dir .. '/layer.tar')
        print('sha256:' .. nacre.hash.sha256_file(dir .. '/layer.tar') == nacre.layer.inspect(chain[1]).DiffID)
        print(nacre.mount.image('example/small:1') == nacre.mount.list()[1].path, nacre.mount.list()[1].image)
        nacre.mount.umount_image('example/small:1')
        print(#nacre.mount.list(), (pcall(nacre.mount.umount_image, 'example/small:1')))"
    ));
    assert_eq!(
        text,
        "directory\t/\ndirectory\t/etc\nfile\t/etc/top\nC\t/etc\t0\t0\nD\t/etc/motd\t0\t5\nA\t/etc/top\t4\t0\n\
         true\ntrue\texample/small:1\n0\tfalse\n"
    );
}

#[test]
fn images_are_composed_of_layers_that_are_here() {
    let (bench, head) = loaded();
    let text = bench.output(&format!(
        "{head} local config = nacre.json.decode(nacre.image.configuration('example/small:1'))
        local layers = config.rootfs.diff_ids
        config.rootfs.diff_ids = {{ layers[2], layers[1] }}
        local id = nacre.image.compose(nacre.json.encode(config), {{ name = 'turned:1' }})
        print(nacre.image.get('turned:1').id == id, nacre.union.read('turned:1', '/etc/motd'), #nacre.layer.list())
        config.rootfs.diff_ids = {{ 'sha256:' .. ('0'):rep(64) }}
        local ok, e = pcall(nacre.image.compose, nacre.json.encode(config)) print(ok, e.code)
        local ok, e = pcall(nacre.image.compose, '[]') print(ok, e.code)
        nacre.image.flatten('example/small:1', {{ name = 'flat:1' }})
        print(#nacre.image.chain('flat:1'), nacre.union.stat('flat:1', '/etc/motd'), nacre.union.read('flat:1', '/d/f'))
        nacre.image.export('flat:1', dir .. '/flat.tar') print(nacre.tar.read(dir .. '/flat.tar', 'etc/top'))
        print(#nacre.system.check())"
    ));
    assert_eq!(text, "true\tbase\n\t4\nfalse\tnot_found\nfalse\tbad_archive\n1\tnil\told\n\ntop\n\n0\n");
}

#[test]
fn an_iterator_that_is_left_lets_go_what_it_holds() {
    let (bench, _) = loaded();
    let text = bench.output(
        "for node in nacre.union.walk('example/small:1') do break end
        for i = 1, 2000 do nacre.union.walk('example/small:1')() end
        print(pcall(nacre.union.walk, 'example/small:1'))",
    );
    assert!(text.starts_with("true\t"), "{text}");
}
