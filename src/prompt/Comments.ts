/** Comments in prompts: from `#` to the end of the line (stable-diffusion-webui 1.10.1, `enable_prompt_comments`). */

const wholeLine = /(?:^|\n)#[^\n]*(?:\n|$)/g
const restOfLine = /#[^\n]*(?:\n|$)/g

/**
 * The text without its comments.
 *
 * A line that is all comment goes with the newlines around it, which leave one; any other comment leaves a newline.
 * There is no escape.
 */
export const strip = (text: string): string => text.replace(wholeLine, "\n").replace(restOfLine, "\n")
