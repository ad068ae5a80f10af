"""Homebrew's formula, as far as it runs without Homebrew: with stand-ins for what it calls there."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMULA = ROOT / "packaging/homebrew/vmnet-helper.rb.in"

# What of Homebrew's Formula is used; folders below the one in argv.
STAND_IN = r"""
require "fileutils"
require "pathname"
class Pathname
  def install(*sources)
    mkpath
    sources.flatten.each { |source| FileUtils.cp_r(source.to_s, to_s) }
  end
  def install_symlink(*targets)
    mkpath
    targets.each { |target| FileUtils.ln_s(target.to_s, (self + target.basename).to_s) }
  end
end
class Formula
  PREFIX = Pathname.new(ARGV[0])
  HEAD = ARGV[1] == "head"
  def self.method_missing(name, *words, **pairs)
    if name == :head && block_given? then yield if HEAD else puts [name, words, pairs].inspect end
  end
  def self.test; end
  def self.respond_to_missing?(*) = true
  def build = Struct.new(:head?).new(HEAD)
  def prefix = PREFIX
  def bin = PREFIX/"bin"
  def libexec = PREFIX/"libexec"
  def std_cmake_args = ["-DCMAKE_INSTALL_PREFIX=#{PREFIX}"]
  def system(*words) = Kernel.system(*words.map(&:to_s)) || raise(words.join(" "))
end
eval(File.read(ARGV[2]))
VmnetHelper.new.install
"""


def install(formula, prefix, kind, folder):
    return subprocess.run(["ruby", "-e", STAND_IN, str(prefix), kind, str(formula)], cwd=folder,
                          text=True, capture_output=True, check=True).stdout


needs_ruby = pytest.mark.skipif(not shutil.which("ruby"), reason="ruby is not installed")


@needs_ruby
@pytest.mark.parametrize("top", ["vmnet-helper", "opt/vmnet-helper"])
def test_of_a_release(tmp_path, top):
    unpacked = tmp_path / "unpacked"
    for name in ("bin/vmnet-helper", "bin/vmnet-run", "share/man/man8/vmnet-helper.8"):
        file = unpacked / top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    said = install(FORMULA, tmp_path / "prefix", "release", unpacked)
    assert "macos-universal.tar.gz" in said and "fmt" not in said
    assert (tmp_path / "prefix/libexec/vmnet-helper").read_text() == "bin/vmnet-helper"
    assert (tmp_path / "prefix/bin/vmnet-run").resolve() == tmp_path / "prefix/libexec/vmnet-run"
    assert (tmp_path / "prefix/share/man/man8/vmnet-helper.8").exists()


@needs_ruby
def test_of_the_sources(tmp_path):
    """The commands of the build are the formula's, cmake a stand-in that says them."""
    tools = tmp_path / "tools"
    tools.mkdir()
    cmake = tools / "cmake"
    cmake.write_text(f"#!/bin/sh\necho cmake \"$@\"\nmkdir -p {tmp_path}/prefix/libexec\n")
    cmake.chmod(0o755)
    said = subprocess.run(["ruby", "-e", STAND_IN, str(tmp_path / "prefix"), "head", str(FORMULA)],
                          cwd=tmp_path, text=True, capture_output=True, check=True,
                          env={"PATH": f"{tools}:/usr/bin:/bin"}).stdout
    assert f"-DCMAKE_INSTALL_BINDIR={tmp_path}/prefix/libexec" in said
    assert "cmake --install build" in said and '["fmt"]' in said
