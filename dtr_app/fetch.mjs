// Fetches the app's two libraries, at the versions and checksums of libraries.json, into site/vendor/. `npm pack`, not
// `npm install`: what a page loads is in the packages as built files, and of the 134 packages that an install would
// bring none is run. The address of the registry is npm's own affair, so none stands here.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const VENDOR = join(HERE, "site", "vendor");

function fetched({ name, version, integrity }, room) {
  const into = mkdtempSync(join(room, `${name}-`));
  execFileSync("npm", ["pack", "--silent", `${name}@${version}`, "--pack-destination", into], {
    cwd: into,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [packed] = readdirSync(into);
  const [algorithm, wanted] = integrity.split(/-(.*)/s);
  const found = createHash(algorithm).update(readFileSync(join(into, packed))).digest("base64");
  if (found !== wanted) {
    throw new Error(`${name}@${version}: the package is not the one of libraries.json (${algorithm}-${found})`);
  }
  execFileSync("tar", ["-xzf", packed], { cwd: into });
  return join(into, "package");
}

const room = mkdtempSync(join(tmpdir(), "dtr-app-"));
try {
  const built = join(room, "vendor");
  for (const library of JSON.parse(readFileSync(join(HERE, "libraries.json"), "utf8"))) {
    const source = fetched(library, room);
    mkdirSync(join(built, library.name), { recursive: true });
    for (const [from, to] of Object.entries(library.files)) {
      copyFileSync(join(source, from), join(built, library.name, to));
    }
    console.log(`${library.name} ${library.version}`);
  }
  // all or nothing: a half-fetched folder would look like a whole one
  rmSync(VENDOR, { recursive: true, force: true });
  mkdirSync(VENDOR, { recursive: true });
  for (const name of readdirSync(built)) moved(join(built, name), join(VENDOR, name));
} finally {
  rmSync(room, { recursive: true, force: true });
}

function moved(from, to) {
  try {
    renameSync(from, to);
  } catch (fault) {
    if (fault.code !== "EXDEV") throw fault; // the temporary folder may be on another disk
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name));
  }
}
