#include "cli/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ebb::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kGood =
    "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n";

Manifests read(const std::string& text) {
  Manifests out;
  read_manifests("f.yaml", text, out);
  return out;
}

TEST(ManifestsTest, DocumentsKnowTheirPlace) {
  const auto out = read(std::string("# comment\n---\n\n") + kGood +
                        "--- # next\napiVersion: serving.knative.dev/v1\nkind: Route\nmetadata:\n"
                        "  name: r\n  namespace: team\n---\n");
  EXPECT_THAT(out.errors, IsEmpty());
  ASSERT_THAT(out.objects, SizeIs(2));
  EXPECT_EQ(out.objects[0].place, "f.yaml:4");
  EXPECT_EQ(out.objects[0].kind->plural, "services");
  EXPECT_EQ(out.objects[0].ns, "");
  EXPECT_EQ(out.objects[1].place, "f.yaml:8");
  EXPECT_EQ(out.objects[1].name, "r");
  EXPECT_EQ(out.objects[1].ns, "team");
}

TEST(ManifestsTest, AWrongDocumentDoesNotTakeTheOthersAlong) {
  const auto out = read(std::string(kGood) + "---\na: 1\na: 2\n---\n" + kGood + "---\n[}\n");
  EXPECT_THAT(out.objects, SizeIs(2));
  ASSERT_THAT(out.errors, SizeIs(2));
  EXPECT_THAT(out.errors[0], HasSubstr("f.yaml:6:1: "));
  EXPECT_THAT(out.errors[1], HasSubstr("f.yaml:12:"));
}

TEST(ManifestsTest, JsonAndListsAreTaken) {
  const auto out = read(R"({"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a"}},
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "b"}}]})");
  ASSERT_THAT(out.objects, SizeIs(1));
  EXPECT_THAT(out.errors, ElementsAre(HasSubstr("f.yaml:1: items[1]: Ebb has no Deployment")));
}

TEST(ManifestsTest, TabsThatIndentAreSaid) {
  EXPECT_THAT(read("spec:\n  a: 1\n\tb: 2\n").errors,
              ElementsAre(testing::AllOf(HasSubstr("f.yaml:3:"), HasSubstr("tabs cannot indent"))));
  EXPECT_THAT(read("a: 1\n---\nspec:\n\t\ta: 1\n").errors,
              testing::Contains(HasSubstr("tabs cannot indent: use blanks")));
  EXPECT_THAT(read("spec:\n  a: [\n").errors,
              ElementsAre(testing::Not(HasSubstr("tabs cannot indent"))));
}

TEST(ManifestsTest, AJsonFileIsReadAsJson) {
  std::string folder = testing::TempDir() + "ebb-manifests-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string file = folder + "/f.json";
  const auto errors = [&file](const std::string& text) {
    std::ofstream(file) << text;
    std::istringstream none;
    return read_manifest_files({file}, none).errors;
  };
  const std::string good =
      "{\"apiVersion\": \"serving.knative.dev/v1\", \"kind\": \"Service\",\n"
      "\t\"metadata\": {\"name\": \"a\"";
  EXPECT_THAT(errors(good + "}}\n"), IsEmpty());
  EXPECT_THAT(errors(good + ",}}\n"), ElementsAre(testing::StartsWith(file + ":2:")));
  EXPECT_THAT(errors(good + "}} # said\n"), ElementsAre(testing::StartsWith(file + ":2:")));
  EXPECT_THAT(errors(kGood), ElementsAre(testing::StartsWith(file + ":1:1: ")));
  EXPECT_THAT(errors("\n\n[]"), ElementsAre(file + ":3: it is not an object"));
  std::filesystem::remove_all(folder);
}

TEST(ManifestsTest, WhatIsMissingIsSaid) {
  EXPECT_THAT(read("kind: Service\n").errors, ElementsAre(HasSubstr("apiVersion is missing")));
  EXPECT_THAT(read("apiVersion: v1\n").errors, ElementsAre(HasSubstr("kind is missing")));
  EXPECT_THAT(read("apiVersion: serving.knative.dev/v1\nkind: Service\n").errors,
              ElementsAre(HasSubstr("metadata.name is missing")));
  EXPECT_THAT(read("just text\n").errors, ElementsAre(HasSubstr("not an object")));
  EXPECT_THAT(read("").errors, IsEmpty());
}

TEST(ManifestsTest, DashesInsideATextAreNoMarker) {
  const auto out = read(std::string(kGood) + "x: |\n  ---\n  y\n");
  EXPECT_THAT(out.errors, IsEmpty());
  ASSERT_THAT(out.objects, SizeIs(1));
  EXPECT_THAT(out.objects[0].text, HasSubstr("---\\ny\\n"));
}

TEST(ManifestsTest, FilesFoldersAndTheInput) {
  namespace fs = std::filesystem;
  std::string folder = testing::TempDir() + "ebb-manifests-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/b.yaml") << kGood;
  std::ofstream(folder + "/a.json") << R"({"apiVersion": "x", "kind": "Y"})";
  std::ofstream(folder + "/notes.txt") << "not read";
  std::istringstream input(kGood);
  const auto out = read_manifest_files({folder, "-", folder + "/none.yaml"}, input);
  ASSERT_THAT(out.objects, SizeIs(2));
  EXPECT_EQ(out.objects[0].place, folder + "/b.yaml:1");
  EXPECT_EQ(out.objects[1].place, "stdin:1");
  ASSERT_THAT(out.errors, SizeIs(2));
  EXPECT_THAT(out.errors[0], HasSubstr("a.json:1: Ebb has no Y of x"));
  EXPECT_THAT(out.errors[1], HasSubstr("none.yaml"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace ebb::cli
