/**
 * Numbers of groups and heads, which the shapes of tensors do not show.
 *
 * Networks of fewer channels than real ones have exist only as references, and follow the second half of each rule.
 */

/** Groups of every normalisation in a UNet, ControlNet or VAE, by the channels of its first layer. */
export const groupsOf = (channels: number): number => channels >= 64 ? 32 : channels / 2

/** Channels of one head in a UNet or ControlNet of SD 2 and XL, by the channels of its first layer. */
export const headWidthOf = (channels: number): number => channels >= 64 ? 64 : channels / 2

/** Heads of a text encoder, by its width. */
export const textHeadsOf = (width: number): number => width >= 128 ? width / 64 : 2
