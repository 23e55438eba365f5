-- Tests of NAME.lua: nacre script test NAME_test.lua
local t = require("nacre.test")
local script = require("NAME")

t.describe("NAME", function()
  -- Each test has a storage root of its own, which is thrown away.
  t.before_each(function() t.image("example:1", { ["etc/motd"] = "hello\n" }) end)

  t.it("finds an image that no container uses", function()
    t.expect(#script.unused()):to_equal(1)
    t.expect(script.unused()[1].references):to_contain("example:1")
  end)

  t.it("leaves out one that a container uses", function()
    nacre.container.create({ image = "example:1", name = "box" })
    t.expect(script.unused()):to_equal({})
  end)

  t.it("refuses other words", function()
    t.expect(function() script.main({ "--what" }) end):to_raise("usage:")
  end)
end)
