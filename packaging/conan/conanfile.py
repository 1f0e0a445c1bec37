# SPDX-License-Identifier: MIT
"""A Conan 2 recipe over CMakeLists.txt: `conan create packaging/conan`; it must not know how the library is built."""

import os
import re

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load


class RoperotConan(ConanFile):
    """The library with its own angle functions, which need no other package and give SLEEF's bits."""

    name = "roperot"
    description = "Rotary position embedding (RoPE) on CPUs"
    license = "MIT"
    topics = ("rope", "simd", "transformer")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}  # noqa: RUF012
    default_options = {"shared": False, "fPIC": True}  # noqa: RUF012

    @property
    def _root(self):
        return os.path.normpath(os.path.join(self.recipe_folder, "..", ".."))

    def set_version(self):
        header = load(self, os.path.join(self._root, "include", "roperot", "roperot.h"))
        self.version = ".".join(re.findall(r"#define ROPEROT_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "src/*", "simd/*", "packaging/cmake/*"):
            copy(self, pattern, self._root, self.export_sources_folder)

    def configure(self):
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def config_options(self):
        if self.settings.os == "Windows":
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ROPEROT_SLEEF"] = "OFF"
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        self.cpp_info.libs = ["roperot"]
        self.cpp_info.set_property("cmake_file_name", "roperot")
        self.cpp_info.set_property("cmake_target_name", "roperot::roperot")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["m"]
        if self.settings.os == "Windows" and self.options.shared:
            self.cpp_info.defines = ["ROPEROT_DLL"]
