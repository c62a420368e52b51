/**
 * The command as it was typed, for hints that can be pasted: `npx`, `pnpm exec` and `npm run` say how they started it.
 */
export const commandName = (): string => {
  const { npm_lifecycle_event: script = "", npm_package_name: owner, PNPM_PACKAGE_NAME: pnpm } = process.env
  if (script === "") return pnpm === undefined ? "serena" : "pnpm exec serena"
  // In a clone of this project; a script of another project may have any name.
  const isOwn = owner === "serena-runtime" && (script === "start" || script === "serena")
  return isOwn ? "npm run --silent serena --" : "npx serena"
}
