// With the real pip and npm where they are installed, and without any network.
#include "cli/dependencies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/package.h"
#include "cli/tool.h"

namespace ebb::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

bool has(const std::vector<std::string>& command) {
  const auto run = run_tool(
      command, "/", [](std::string_view) {},
      std::chrono::steady_clock::now() + std::chrono::seconds(20));
  return run && run->exit_code == 0;
}

class DependenciesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ebb-dependencies-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    code_ = base_ / "code";
    write("main.py", "import greeting\n");
    options_.name = "hello";
    options_.runtime = "python";
    options_.code = code_;
  }
  void TearDown() override { fs::remove_all(base_); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((code_ / name).parent_path());
    std::ofstream(code_ / name) << text;
  }
  // A wheel is a zip archive with three notes in it.
  void make_wheel() const {
    fs::create_directories(base_ / "wheels");
    const std::string script =
        "import zipfile\n"
        "with zipfile.ZipFile('wheels/greeting-1.0-py3-none-any.whl', 'w') as z:\n"
        "  z.writestr('greeting/__init__.py', 'text = 1\\n')\n"
        "  d = 'greeting-1.0.dist-info/'\n"
        "  z.writestr(d + 'METADATA', 'Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n')\n"
        "  z.writestr(d + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\n"
        "Tag: py3-none-any\\n')\n"
        "  z.writestr(d + 'RECORD', '')\n";
    const auto run = run_tool(
        {"python3", "-c", script}, base_, [](std::string_view) {},
        std::chrono::steady_clock::now() + std::chrono::seconds(60));
    ASSERT_TRUE(run && run->exit_code == 0) << (run ? run->output : run.error().message);
  }
  Result<std::optional<StagingFolder>> install() {
    err_.str("");
    Console console{out_, err_};
    Progress progress(console);
    return install_dependencies(options_, progress, console);
  }

  fs::path base_;
  fs::path code_;
  DeployOptions options_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(DependenciesTest, NothingNamedIsNothingToDo) {
  EXPECT_FALSE(install()->has_value());
  write("requirements.txt", "# none\n\n");
  EXPECT_FALSE(install()->has_value());
  write("package.json", R"({"dependencies": {"x": "1"}})");
  EXPECT_FALSE(install()->has_value());  // not for python
  options_.runtime = "node";
  write("package.json", R"({"type": "module", "devDependencies": {"x": "1"}})");
  EXPECT_FALSE(install()->has_value());
  write("requirements.txt", "greeting\n");
  EXPECT_FALSE(install()->has_value());  // not for node
  options_.runtime = "python";
  options_.install = false;
  EXPECT_FALSE(install()->has_value());
}

TEST_F(DependenciesTest, ABrokenPackageJsonIsSaid) {
  options_.runtime = "node";
  write("package.json", "{\n  nonsense");
  const auto done = install();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("line 2"));
}

TEST_F(DependenciesTest, PipInstallsIntoACopy) {
  if (!has({"pip3", "--version"})) GTEST_SKIP() << "no pip here";
  make_wheel();
  write("requirements.txt", "greeting==1.0\n");
  write(".git/HEAD", "x");
  options_.pip_options = {"--no-index", "--find-links=../wheels"};  // relative to the code
  std::string folder;
  std::string digest;
  for (int i = 0; i < 2; ++i) {
    const auto staging = install();
    ASSERT_TRUE(staging) << staging.error().message << err_.str();
    ASSERT_TRUE(staging->has_value());
    folder = (*staging)->path();
    EXPECT_TRUE(fs::exists(fs::path(folder) / "main.py"));
    EXPECT_TRUE(fs::exists(fs::path(folder) / kPythonPackages / "greeting/__init__.py"));
    EXPECT_FALSE(fs::exists(fs::path(folder) / ".git"));
    const auto package = pack(folder, "python");
    ASSERT_TRUE(package) << package.error().message;
    EXPECT_NE(package->tar.find(".ebb/python/greeting/__init__.py"), std::string::npos);
    if (fs::exists("/usr/bin/python3")) {
      EXPECT_NE(package->tar.find(".ebb/python/greeting/__pycache__/"), std::string::npos);
    }
    // The same packages are the same code.
    if (i == 1) {
      EXPECT_EQ(package->digest(), digest);
    }
    digest = package->digest();
  }
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_FALSE(fs::exists(code_ / ".ebb"));
}

TEST_F(DependenciesTest, PipsOwnErrorIsShown) {
  if (!has({"pip3", "--version"})) GTEST_SKIP() << "no pip here";
  write("requirements.txt", "no-such-package-anywhere==9\n");
  options_.pip_options = {"--no-index"};
  const auto done = install();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("pip failed with exit code 1"));
  EXPECT_THAT(err_.str(), HasSubstr("no-such-package-anywhere"));
}

TEST_F(DependenciesTest, NpmInstallsIntoACopy) {
  if (!has({"npm", "--version"})) GTEST_SKIP() << "no npm here";
  options_.runtime = "node";
  options_.npm_options = {"--offline"};
  const std::string package_json =
      R"({"name": "f", "version": "1.0.0", "dependencies": {"greeting": "file:../greeting"}})";
  write("package.json", package_json);
  write("index.mjs", "import greeting from 'greeting';\n");
  write("node_modules/stale/index.js", "old");
  write("../greeting/package.json", R"({"name": "greeting", "version": "1.0.0"})");
  write("../greeting/index.js", "module.exports = 1;\n");
  const auto staging = install();
  ASSERT_TRUE(staging) << staging.error().message << err_.str();
  ASSERT_TRUE(staging->has_value());
  const fs::path folder = (*staging)->path();
  EXPECT_TRUE(fs::is_regular_file(folder / "node_modules/greeting/index.js"));
  EXPECT_FALSE(fs::is_symlink(folder / "node_modules/greeting"));
  EXPECT_FALSE(fs::exists(folder / "node_modules/stale"));
  EXPECT_TRUE(fs::exists(code_ / "node_modules/stale"));
  std::ifstream file(folder / "package.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), package_json);
  EXPECT_TRUE(pack(folder, "node"));
}

TEST_F(DependenciesTest, NpmsOwnErrorIsShown) {
  if (!has({"npm", "--version"})) GTEST_SKIP() << "no npm here";
  options_.runtime = "node";
  options_.npm_options = {"--offline"};
  write("package.json", R"({"dependencies": {"greeting": "file:../nowhere"}})");
  const auto done = install();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("npm failed with exit code"));
  EXPECT_THAT(err_.str(), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace ebb::cli
