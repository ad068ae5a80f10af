"""What packagers and people with another machine rely on in the build files: configured, not built."""

import os
import pathlib
import shutil
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
GIT = ("git", "-c", "safe.directory=*")


def run(*words, cwd=None, check=True, env=None, **more):
    """The environment without flags and choices of the caller's."""
    ours = {name: value for name, value in os.environ.items()
            if name not in ("CXX", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "DESTDIR", "CMAKE_GENERATOR")}
    done = subprocess.run(words, cwd=cwd, env={**ours, **(env or {})}, capture_output=True, text=True,
                          check=False, timeout=120, **more)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def configure(build, *options, source=REPOSITORY, **more):
    done = run("cmake", "-S", source, "-B", build, "-G", "Ninja", *options, **more)
    return done.stdout + done.stderr


def commands(build):
    return (build / "build.ninja").read_text()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What `cmake -B build` makes of it, and what it said."""
    build = tmp_path_factory.mktemp("plain") / "build"
    return build, configure(build)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The files of the checkout, committed or about to be, in a folder with a space, without .git."""
    folder = tmp_path_factory.mktemp("sources") / "of vmnet helper"
    names = run(*GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


def test_a_warning_is_no_error_but_for_developers(plain, tmp_path):
    build, said = plain
    assert "-Werror" not in commands(build) and "-Wall" in commands(build)
    assert "RelWithDebInfo" in said and "-O2" in commands(build)
    run("cmake", "--preset", "dev", "-B", tmp_path / "dev", cwd=REPOSITORY)
    assert "-Werror" in commands(tmp_path / "dev")


def test_no_googletest_no_unit_tests(tmp_path):
    said = configure(tmp_path, "-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON")
    assert "No unit tests: no GoogleTest" in said and "CMake Warning" not in said
    assert "base_test" not in commands(tmp_path)


@pytest.mark.parametrize("option", ["-DBUILD_TESTING=OFF", "-DVMNET_TESTS=OFF"])
def test_unit_tests_can_be_left_out(tmp_path, option):
    assert "GoogleTest" not in configure(tmp_path, option)
    assert "base_test" not in commands(tmp_path)


def test_hardening_has_a_default(plain):
    assert "-D_FORTIFY_SOURCE=2" in commands(plain[0])


@pytest.mark.parametrize("kind, flags", [("None", "-O2 -D_FORTIFY_SOURCE=3"),
                                         ("Release", "-Wp,-U_FORTIFY_SOURCE -Wp,-D_FORTIFY_SOURCE=3")])
def test_hardening_from_outside_stays(tmp_path, kind, flags):
    configure(tmp_path, "-DVMNET_TESTS=OFF", f"-DCMAKE_BUILD_TYPE={kind}", env={"CXXFLAGS": flags})
    assert "_FORTIFY_SOURCE=2" not in commands(tmp_path) and "FORTIFY_SOURCE=3" in commands(tmp_path)


@pytest.mark.parametrize("flags", ["-D_FORTIFY_SOURCE=3", "-Wp,-D_FORTIFY_SOURCE=3"])
def test_nothing_is_said_of_hardening_that_needs_optimisation(tmp_path, flags):
    configure(tmp_path, "-DVMNET_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug", env={"CXXFLAGS": flags})
    done = run("cmake", "--build", tmp_path, "--target", "src/CMakeFiles/vmnet_base.dir/base/mac.cc.o")
    assert "warning" not in done.stdout + done.stderr


def test_compiler_that_is_too_old_is_one_error(tmp_path):
    compiler = tmp_path / "old-c++"
    compiler.write_text('#!/bin/sh\nexec c++ "$@" -std=c++17\n')
    compiler.chmod(0o755)
    done = run("cmake", "-S", REPOSITORY, "-B", tmp_path / "build", "-G", "Ninja", check=False,
               env={"CXX": str(compiler)})
    assert done.returncode != 0
    assert done.stderr.count("CMake Error") == 1 and "has no std::expected" in " ".join(done.stderr.split())


def test_sources_without_git_in_a_path_with_a_space(sources, tmp_path):
    """Nothing is written to them either."""
    before = sorted(sources.rglob("*"))
    build = tmp_path / "build folder"
    configure(build, source=sources)
    run("cmake", "--build", build, "--target", "src/CMakeFiles/vmnet_base.dir/base/mac.cc.o")
    assert sorted(sources.rglob("*")) == before
    assert '"unknown"' in (build / "src/version.cc").read_text()


@pytest.mark.parametrize("names, version", [("HEAD -> main, tag: v3.4.5, origin/main", "v3.4.5"),
                                            ("tag: v3.4.5", "v3.4.5"), ("tag: v3.4.5-rc1", "v0.14.0-dev"),
                                            ("main", "v0.14.0-dev"), ("", "v0.14.0-dev")])
def test_version_of_a_tarball_that_git_made(tmp_path, names, version):
    assert "archived_commit.txt export-subst" in (REPOSITORY / ".gitattributes").read_text()
    (tmp_path / "cmake").mkdir()
    shutil.copy(REPOSITORY / "cmake/version.cmake", tmp_path / "cmake")
    (tmp_path / "cmake/archived_commit.txt").write_text(f"0123abcd ({names})\n")
    (tmp_path / "say.cmake").write_text('include(cmake/version.cmake)\nmessage("${VMNET_VERSION} ${VMNET_COMMIT}")\n')
    assert run("cmake", "-P", "say.cmake", cwd=tmp_path).stderr == f"{version} 0123abcd\n"


@pytest.fixture
def built(plain):
    """Its programs, which need not be ours."""
    for name in ("vmnet-helper", "vmnet-run"):
        shutil.copy("/bin/true", plain[0] / name)
    return plain[0]


def install(build, folder, *options, prefix="/opt/vmnet-helper"):
    run("cmake", "--install", build, "--prefix", prefix, *options, env={"DESTDIR": str(folder)}, umask=0o077)


def test_whoever_installs_it_all_can_read_it(built, tmp_path):
    install(built, tmp_path / "root", "--strip")
    for path in (tmp_path / "root").rglob("*"):
        program = path.parent.name == "bin" or path.name == "example"
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() or program else 0o644), path


@pytest.mark.parametrize("folder, place", [("sbin", "/usr/local/sbin"), ("/srv/bin", "/srv/bin")])
def test_what_names_the_programs_names_their_place(built, tmp_path, folder, place):
    configure(built, f"-DCMAKE_INSTALL_BINDIR={folder}", "-DCMAKE_INSTALL_MANDIR=man")
    install(built, tmp_path, prefix="/usr/local")
    configure(built, "-UCMAKE_INSTALL_BINDIR", "-UCMAKE_INSTALL_MANDIR")
    assert os.access(f"{tmp_path}{place}/vmnet-helper", os.X_OK)
    documents = tmp_path / "usr/local/share/doc/vmnet-helper"
    for path in (documents / "sudoers.d/vmnet-helper", documents / "systemd/system/vmnet-helper@.service",
                 documents / "systemd/user/vmnet-helper@.service",
                 tmp_path / "usr/local/man/man8/vmnet-helper.8", tmp_path / "usr/local/man/man1/vmnet-run.1"):
        text = path.read_text()
        assert f"{place}/vmnet-helper" in text and "@VMNET_" not in text, path
