/**
 * The version of this package. A test sees that it is the one in `package.json`.
 */
export const version = "0.1.0"
