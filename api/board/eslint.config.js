import js from '@eslint/js'
import vue from 'eslint-plugin-vue'
import ts from 'typescript-eslint'

export default ts.config(
  { ignores: ['dist/', 'node_modules/'] },
  js.configs.recommended,
  ts.configs.strict,
  vue.configs['flat/recommended'],
  {
    files: ['src/**/*.ts', 'src/**/*.vue'],
    languageOptions: { parserOptions: { parser: ts.parser } },
    rules: {
      'no-undef': 'off', // vue-tsc knows the names
      'max-lines': ['error', 200],
      eqeqeq: 'error',
      // Layout of templates is a matter of taste, not of faults.
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/html-self-closing': 'off',
    },
  },
  // A dictionary is as long as its words.
  { files: ['src/words/zh.ts', 'src/words/en.ts'], rules: { 'max-lines': 'off' } },
)
